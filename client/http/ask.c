#include "client/http/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/control.h"

__attribute__((format(printf, 3, 4))) static void fail(struct answer *a, int error,
						       const char *format, ...)
{
	va_list args;

	if (a->error != 0)
		return;
	a->error = error;
	va_start(args, format);
	vsnprintf(a->why, sizeof(a->why), format, args);
	va_end(args);
}

void answer_done(struct answer *a)
{
	for (size_t i = 0; i < a->files.n; i++)
		close(a->files.items[i].fd);
	for (size_t i = 0; i < a->replies.n; i++)
		profd__reply__free_unpacked(a->replies.items[i], NULL);
	free(a->files.items);
	free(a->replies.items);
	*a = (struct answer){};
}

static void take_file(struct answer *a, const Profd__File *file, struct control_packet *packet)
{
	struct ask_file *to;

	if (packet->n_fds == 0) {
		fail(a, EPROTO, "profd: a profile without its file");
		return;
	}
	if (a->files.n == PROFD_HTTP_MAX_FILES) {
		fail(a, E2BIG, "more than %d targets: name one with /pid/, /comm/ or /unit/",
		     PROFD_HTTP_MAX_FILES);
		return;
	}
	to = array_add(&a->files);
	if (!to) {
		fail(a, ENOMEM, "out of memory");
		return;
	}
	to->pid = file->pid;
	to->fd = take_fd(&packet->fds[0]);
	snprintf(to->comm, sizeof(to->comm), "%s", file->comm);
}

/* A target that gave no file is an error only if no other gave one. */
static void finish(struct answer *a, const char *missing)
{
	if (a->files.n == 0 && a->replies.n == 0 && *missing)
		fail(a, ENODATA, "%s", missing);
}

static void take_reply(struct answer *a, Profd__Reply **reply)
{
	if (a->replies.n >= PROFD_HTTP_MAX_TARGETS)
		return;
	if (array_grow(&a->replies, 1) < 0)
		fail(a, ENOMEM, "out of memory");
	else
		a->replies.items[a->replies.n++] = take_ptr(*reply);
}

static void free_reply(Profd__Reply **reply)
{
	if (*reply)
		profd__reply__free_unpacked(*reply, NULL);
}

/* One reply. False: it was the last. */
static bool take(struct answer *a, int fd, char *missing, size_t missing_size)
{
	_cleanup_(control_packet_done) struct control_packet packet = {};
	_cleanup_(free_reply) Profd__Reply *reply = NULL;
	int r = control_recv(fd, MSG_DONTWAIT, &packet);

	if (r == -EAGAIN || r == -EINTR)
		return true;
	if (r >= 0)
		reply = profd__reply__unpack(NULL, packet.n_bytes, packet.bytes);
	if (!reply) {
		fail(a, EPROTO, "profd: its answer was cut short: it may have been stopped");
		return false;
	}
	switch (reply->kind_case) {
	case PROFD__REPLY__KIND_ERROR:
		fail(a, reply->error->code ?: EIO, "%s", reply->error->message);
		return false;
	case PROFD__REPLY__KIND_DONE:
		finish(a, missing);
		return false;
	case PROFD__REPLY__KIND_FILE:
		take_file(a, reply->file, &packet);
		break;
	case PROFD__REPLY__KIND_MISSING:
		snprintf(missing, missing_size, "%s: %s", reply->missing->type,
			 reply->missing->why);
		break;
	default:
		take_reply(a, &reply);
	}
	return a->error == 0;
}

static int send_stop(int fd, const char *note)
{
	Profd__Stop stop = PROFD__STOP__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	stop.note = (char *)note;
	request.verb_case = PROFD__REQUEST__VERB_STOP;
	request.stop = &stop;
	return control_send(fd, &request.base, NULL, 0);
}

static void follow(const struct ask *who, const struct ask_how *how, int fd, struct answer *a)
{
	struct pollfd wait[] = {
		{.fd = fd, .events = POLLIN},
		{.fd = who->client_fd, .events = POLLRDHUP},
		{.fd = how->ended_fd, .events = POLLIN},
	};
	char missing[512] = "";

	for (;;) {
		int n = poll(wait, ARRAY_SIZE(wait), how->timeout_ms);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fail(a, ETIMEDOUT, "profd: no answer for %d s", how->timeout_ms / 1000);
			return;
		}
		if (wait[1].revents) {
			fail(a, EPIPE, "context canceled");
			return;
		}
		if (wait[2].revents) {
			wait[2].fd = -1;
			(void)send_stop(fd, how->stopped);
		}
		if (wait[0].revents && !take(a, fd, missing, sizeof(missing)))
			return;
	}
}

void ask(const struct ask *who, Profd__Request *request, const struct ask_how *how,
	 struct answer *ret_answer)
{
	_cleanup_close_ int fd = control_connect(who->socket);
	struct answer *a = ret_answer;
	int r;

	*a = (struct answer){};
	if (fd < 0) {
		fail(a, ECONNREFUSED, "cannot reach profd at %s: %s", who->socket, strerror(-fd));
		return;
	}
	request->as_user = who->narrowed;
	request->as_uid = who->uid;
	r = control_send(fd, &request->base, NULL, 0);
	if (r < 0)
		fail(a, EPROTO, "profd: %s", strerror(-r));
	else
		follow(who, how, fd, a);
}
