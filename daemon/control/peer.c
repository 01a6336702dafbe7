#include "daemon/control/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "profd/base.h"

struct peer_reply {
	struct peer_reply *next;
	Profd__Reply *reply;
	size_t bytes;
	int fd;
};

/* Those who may see all have the bound of PEER_MAX_QUEUE only. */
static bool count_queued(struct peer *p, ptrdiff_t bytes)
{
	return p->access.all || users_queue(p->user, bytes);
}

static void reply_free(struct peer_reply *r)
{
	profd__reply__free_unpacked(r->reply, NULL);
	profd_closep(&r->fd);
	free(r);
}

void peer_clear_queue(struct peer *p)
{
	while (p->first) {
		struct peer_reply *r = p->first;

		p->first = r->next;
		(void)count_queued(p, -(ptrdiff_t)r->bytes);
		reply_free(r);
	}
	p->last = &p->first;
	p->queued = 0;
}

bool peer_has_queue(const struct peer *p)
{
	return p->first;
}

bool peer_flush(struct peer *p)
{
	while (p->first) {
		struct peer_reply *q = p->first;
		int r = control_send(p->fd, &q->reply->base, &q->fd, q->fd >= 0 ? 1 : 0);

		if (r == -EAGAIN)
			return true;
		if (r < 0)
			return false;
		p->first = q->next;
		if (!p->first)
			p->last = &p->first;
		p->queued--;
		(void)count_queued(p, -(ptrdiff_t)q->bytes);
		reply_free(q);
	}
	return true;
}

/* A message of our own making, by way of its packed form. */
static Profd__Reply *copy_reply(const Profd__Reply *reply)
{
	size_t n = profd__reply__get_packed_size(reply);
	_cleanup_free_ uint8_t *bytes = malloc(n + 1);

	if (!bytes)
		return NULL;
	profd__reply__pack(reply, bytes);
	return profd__reply__unpack(NULL, n, bytes);
}

static bool enqueue(struct peer *p, const Profd__Reply *reply, int fd)
{
	struct peer_reply *q;

	if (p->queued >= PEER_MAX_QUEUE)
		return false;
	q = calloc(1, sizeof(*q));
	if (!q)
		return false;
	q->fd = -1;
	q->reply = copy_reply(reply);
	if (fd >= 0)
		q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	/* unpacked, a message takes some times its length */
	q->bytes = sizeof(*q) + sizeof(*q->reply) + 3 * profd__reply__get_packed_size(reply);
	if (!q->reply || (fd >= 0 && q->fd < 0) || !count_queued(p, (ptrdiff_t)q->bytes)) {
		reply_free(q);
		return false;
	}
	*p->last = q;
	p->last = &q->next;
	p->queued++;
	return sd_event_source_set_io_events(p->source, EPOLLIN | EPOLLOUT) >= 0;
}

void peer_reply(struct peer *p, const Profd__Reply *reply, int fd)
{
	int r;

	if (p->dropped)
		return;
	r = p->first ? -EAGAIN : control_send(p->fd, &reply->base, &fd, fd >= 0 ? 1 : 0);
	/* A peer that has left is noticed by its hang-up, in the loop. One that does not
	 * get an answer for want of memory or descriptors would wait for ever. */
	if ((r == -EAGAIN && !enqueue(p, reply, fd)) || (r < 0 && r != -EAGAIN && r != -EPIPE)) {
		p->ctx->counters.peers_slow += r == -EAGAIN;
		p->dropped = true;
		shutdown(p->fd, SHUT_RDWR); /* its hang-up event frees it */
	}
}

void peer_error(struct peer *p, int error, const char *format, ...)
{
	Profd__Error e = PROFD__ERROR__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	e.code = error < 0 ? -error : error;
	e.message = text;
	reply.kind_case = PROFD__REPLY__KIND_ERROR;
	reply.error = &e;
	peer_reply(p, &reply, -1);
}

void peer_done(struct peer *p, uint32_t files, uint32_t missing)
{
	Profd__Done done = PROFD__DONE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	done.files = files;
	done.missing = missing;
	reply.kind_case = PROFD__REPLY__KIND_DONE;
	reply.done = &done;
	peer_reply(p, &reply, -1);
}
