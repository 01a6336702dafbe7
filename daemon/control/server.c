#include "daemon/control/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/control/peer.h"
#include "profd/base.h"
#include "profd/limits.h"

/*
 * Programs that start announce themselves, and a storm of them would wake us for
 * each, on a CPU that it needs itself. So after connections have been accepted, no
 * more are for a moment; then all that came meanwhile, in their order. A private
 * daemon has one command, whose end may come before the moment does.
 */
#define PAUSE_US 20000

struct server {
	struct control_context *ctx;
	char *path;
	int fd;
	ino_t inode; /* of the socket at @path */
	sd_event_source *source;
	sd_event_source *pause; /* its end */
	struct peer *peers;
	size_t n_peers;
};

static void peer_free(struct peer *p)
{
	struct server *s = p->server;

	if (p->prev)
		p->prev->next = p->next;
	else
		s->peers = p->next;
	if (p->next)
		p->next->prev = p->prev;
	s->n_peers--;
	series_cancel(p->series);
	sd_event_source_disable_unref(p->later);
	sd_event_source_disable_unref(p->source);
	peer_clear_queue(p);
	profd_closep(&p->fd);
	if (p->watching)
		p->ctx->quit(p->ctx->engine);
	free(p);
}

/* Reads and acts on what is there. False: the peer is to go. */
static bool peer_read(struct peer *p)
{
	while (!p->dropped) {
		struct control_packet packet;
		Profd__Request *request;
		int r = control_recv(p->fd, MSG_DONTWAIT, &packet);

		if (r == -EAGAIN || r == -EINTR)
			return true;
		if (r == -EMSGSIZE || r == -EBADMSG)
			p->ctx->counters.messages_malformed++;
		if (r < 0)
			return false;
		request = profd__request__unpack(NULL, packet.n_bytes, packet.bytes);
		if (!request || request->verb_case == PROFD__REQUEST__VERB__NOT_SET) {
			p->ctx->counters.messages_malformed++;
			p->dropped = true;
		} else {
			peer_handle(p, request, packet.fds, packet.n_fds);
		}
		if (request)
			profd__request__free_unpacked(request, NULL);
		control_packet_done(&packet);
	}
	return false;
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct peer *p = userdata;
	bool keep = true;

	if (events & EPOLLOUT) {
		keep = peer_flush(p);
		if (keep && !peer_has_queue(p))
			sd_event_source_set_io_events(source, EPOLLIN);
	}
	if (keep && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		keep = peer_read(p);
	if (!keep || p->dropped)
		peer_free(p);
	return 0;
}

/* Takes over @fd. */
static void peer_new(struct server *s, int fd)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return;
	}
	p->server = s;
	p->ctx = s->ctx;
	p->fd = fd;
	p->last = &p->first;
	if (access_of_peer(fd, s->ctx->private, &p->access) < 0 ||
	    sd_event_add_io(s->ctx->loop, &p->source, fd, EPOLLIN, on_peer, p) < 0) {
		sd_event_source_disable_unref(p->source);
		close(fd);
		free(p);
		return;
	}
	p->next = s->peers;
	if (p->next)
		p->next->prev = p;
	s->peers = p;
	s->n_peers++;
	/* a client may have spoken and left already */
	if (!peer_read(p))
		peer_free(p);
}

static void accept_all(struct server *s)
{
	for (;;) {
		int peer = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (peer < 0)
			return;
		if (s->n_peers >= PROFD_MAX_PEERS) {
			s->ctx->counters.peers_refused++;
			close(peer);
			continue;
		}
		peer_new(s, peer);
	}
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct server *s = userdata;

	accept_all(s);
	if (s->pause && sd_event_source_set_time_relative(s->pause, PAUSE_US) >= 0 &&
	    sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT) >= 0)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *s = userdata;

	return sd_event_source_set_enabled(s->source, SD_EVENT_ON);
}

static int make_pause(struct server *s)
{
	int r;

	if (s->ctx->private)
		return 0;
	r = sd_event_add_time(s->ctx->loop, &s->pause, CLOCK_MONOTONIC, 0, PAUSE_US / 4,
			      on_pause_over, s);
	return r < 0 ? r : sd_event_source_set_enabled(s->pause, SD_EVENT_OFF);
}

/* A socket file that a dead profd left behind answers ECONNREFUSED. */
static int remove_stale(const char *path)
{
	int fd = control_connect(path);

	if (fd >= 0) {
		close(fd);
		return -EADDRINUSE;
	}
	if (fd == -ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int listen_at(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	r = remove_stale(path);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (chmod(path, 0666) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return take_fd(&fd);
}

/* 0: there is nothing. */
static ino_t inode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

int server_new(struct control_context *ctx, const char *path, struct server **ret_server)
{
	struct server *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s)
		return r;
	s->ctx = ctx;
	s->fd = -1;
	s->path = strdup(path);
	if (!s->path)
		goto fail;
	r = s->fd = listen_at(path);
	if (r < 0)
		goto fail;
	s->inode = inode_of(path);
	r = sd_event_add_io(ctx->loop, &s->source, s->fd, EPOLLIN, on_listen, s);
	if (r >= 0)
		r = make_pause(s);
	if (r < 0)
		goto fail;
	*ret_server = s;
	return 0;
fail:
	server_free(s);
	return r;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->peers) {
		s->peers->watching = false;
		peer_free(s->peers);
	}
	sd_event_source_disable_unref(s->source);
	sd_event_source_disable_unref(s->pause);
	if (s->fd >= 0) {
		close(s->fd);
		if (inode_of(s->path) == s->inode) /* else another's, by now */
			unlink(s->path);
	}
	free(s->path);
	free(s);
}

size_t server_peers(const struct server *s)
{
	return s->n_peers;
}
