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

#define TURN_NS	  (5 * NSEC_PER_MSEC) /* of one peer, before others have theirs */
#define RESUME_US 100000	      /* between looks at who may be read from again */

struct server {
	struct control_context *ctx;
	char *path; /* that we made; NULL: the service manager's */
	int fd;
	ino_t inode; /* of the socket at @path */
	sd_event_source *source;
	sd_event_source *pause;	 /* its end */
	sd_event_source *resume; /* of peers that wait; NULL: none does */
	struct peer *peers;
	size_t n_peers;
	struct users *users;
	struct access_group group;
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
	users_leave(s->users, p->user);
	profd_closep(&p->fd);
	if (p->watching)
		p->ctx->quit(p->ctx->engine);
	free(p);
}

/* Of the daemon: what the keeper does for a user is that user's, too. */
static uint64_t cpu_ns(const struct peer *p)
{
	return clock_cpu_ns() + keeper_spent_ns(p->ctx->keeper);
}

/* Not even its leaving is noticed meanwhile: what it has said is read first. */
static void peer_listen(struct peer *p, bool listen)
{
	p->waits = !listen;
	sd_event_source_set_enabled(p->source, listen ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *s = userdata;
	uint64_t now_ns = clock_mono_ns();
	bool any = false;

	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->waits && users_may_work(p->user, now_ns))
			peer_listen(p, true);
		any = any || p->waits;
	}
	if (!any)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	sd_event_source_set_time_relative(source, RESUME_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Nothing more is read from the peer for a while. */
static void peer_wait(struct peer *p)
{
	struct server *s = p->server;

	p->ctx->counters.peers_waited++;
	if (!s->resume && sd_event_add_time_relative(p->ctx->loop, &s->resume, CLOCK_MONOTONIC,
						     RESUME_US, RESUME_US / 4, on_resume, s) < 0)
		return;
	if (sd_event_source_set_time_relative(s->resume, RESUME_US) >= 0 &&
	    sd_event_source_set_enabled(s->resume, SD_EVENT_ONESHOT) >= 0)
		peer_listen(p, false);
}

static bool peer_read(struct peer *p, uint64_t until_cpu_ns);

/* Reads as much as it is the peer's turn to say. False: the peer is to go. */
static bool peer_serve(struct peer *p)
{
	uint64_t began = cpu_ns(p);
	bool keep;

	if (p->access.all)
		return peer_read(p, UINT64_MAX);
	if (!users_may_work(p->user, clock_mono_ns())) {
		peer_wait(p);
		return true;
	}
	keep = peer_read(p, began + TURN_NS);
	users_charge(p->user, cpu_ns(p) - began, clock_mono_ns());
	return keep;
}

/* Reads and acts on what is there. False: the peer is to go. */
static bool peer_read(struct peer *p, uint64_t until_cpu_ns)
{
	for (int i = 0; i < PROFD_MAX_MESSAGES_TURN && !p->dropped && cpu_ns(p) < until_cpu_ns;
	     i++) {
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
	return !p->dropped;
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
		keep = peer_serve(p);
	if (!keep || p->dropped)
		peer_free(p);
	return 0;
}

/* NULL: its user has too many already. */
static struct user *admit(struct server *s, int fd, struct access *ret_access)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);
	struct user *user = NULL;

	/* first what costs least: a flood ends here */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) == 0)
		user = users_enter(s->users, s->ctx->private ? 0 : cred.uid, clock_mono_ns());
	if (!user)
		return NULL;
	if (access_of_peer(fd, s->ctx->private, &s->group, ret_access) < 0 ||
	    (!ret_access->all && !users_take_place(s->users, user))) {
		users_leave(s->users, user);
		return NULL;
	}
	return user;
}

/* Takes over @fd. */
static void peer_new(struct server *s, int fd)
{
	struct access access;
	struct user *user = admit(s, fd, &access);
	struct peer *p = user ? calloc(1, sizeof(*p)) : NULL;

	s->ctx->counters.peers_refused_user += !user;
	if (!p) {
		if (user)
			users_leave(s->users, user);
		close(fd);
		return;
	}
	p->server = s;
	p->ctx = s->ctx;
	p->fd = fd;
	p->access = access;
	p->user = user;
	p->last = &p->first;
	if (sd_event_add_io(s->ctx->loop, &p->source, fd, EPOLLIN, on_peer, p) < 0) {
		users_leave(s->users, user);
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
	if (!peer_serve(p))
		peer_free(p);
}

static void accept_all(struct server *s)
{
	for (int i = 0; i < PROFD_MAX_ACCEPTS; i++) {
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

int server_new(struct control_context *ctx, const char *path, int socket,
	       struct server **ret_server)
{
	struct server *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s) {
		profd_closep(&socket);
		return r;
	}
	s->ctx = ctx;
	s->fd = socket;
	if (users_new(&s->users) < 0)
		goto fail;
	if (socket < 0) {
		s->path = strdup(path);
		if (!s->path)
			goto fail;
		r = s->fd = listen_at(path);
		if (r < 0)
			goto fail;
		s->inode = inode_of(path);
	}
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
	sd_event_source_disable_unref(s->resume);
	users_free(s->users);
	if (s->fd >= 0 && s->path && inode_of(s->path) == s->inode) /* else another's, by now */
		unlink(s->path);
	profd_closep(&s->fd);
	free(s->path);
	free(s);
}

size_t server_peers(const struct server *s)
{
	return s->n_peers;
}
