#include "client/profctl/connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "client/profctl/output.h"
#include "proto/control.h"
#include "profd/base.h"
#include "profd/limits.h"

/* A daemon that is well answers a question about its state in milliseconds. */
#define CONNECT_PATIENCE_MS 10000

static const char *advice(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "start it with \"systemctl start profd\", or run one command under a "
		       "private "
		       "one with \"profctl run -- CMD\"";
	case EACCES:
	case EPERM:
		return "join the group of the socket, or run one command under a private profd "
		       "with "
		       "\"profctl run -- CMD\"";
	default:
		return "check --socket and $PROFD_SOCKET";
	}
}

int connect_open(const struct profctl *ctl)
{
	const char *path = control_path(ctl->socket);
	int fd;

	fd = control_connect(path);
	if (fd < 0)
		output_error("cannot reach profd at %s: %s: %s", path, strerror(-fd), advice(-fd));
	return fd;
}

static void report_broken(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		output_error("profd: closed the connection before its answer was complete: it may "
			     "have been stopped, or started anew");
		break;
	case EMSGSIZE:
	case EBADMSG:
		output_error(
			"profd: its answer cannot be read: check that profctl and profd are of "
			"one version, and whose socket it is");
		break;
	default:
		output_error("profd: %s: see \"systemctl status profd\"", strerror(error));
	}
}

int connect_send(int fd, const Profd__Request *request)
{
	int r;

	r = control_send(fd, &request->base, NULL, 0);
	if (r == -EMSGSIZE)
		output_error("request: longer than %d bytes: give shorter names", PROFD_MAX_PACKET);
	else if (r < 0)
		report_broken(-r);
	return r;
}

void reply_done(struct reply *reply)
{
	if (reply->message)
		profd__reply__free_unpacked(reply->message, NULL);
	if (reply->fd >= 0)
		close(reply->fd);
	*reply = (struct reply){.fd = -1};
}

int connect_receive(int fd, struct reply *ret_reply)
{
	_cleanup_(control_packet_done) struct control_packet packet = {};
	Profd__Reply *message;
	int r;

	r = control_recv(fd, 0, &packet);
	if (r < 0) {
		report_broken(-r);
		return r;
	}
	message = profd__reply__unpack(NULL, packet.n_bytes, packet.bytes);
	if (!message) {
		report_broken(EBADMSG);
		return -EBADMSG;
	}
	*ret_reply = (struct reply){.message = message, .fd = -1};
	if (packet.n_fds > 0)
		ret_reply->fd = take_fd(&packet.fds[0]);
	return 0;
}

static int receive_in_time(int fd, struct reply *ret_reply)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&wait, 1, CONNECT_PATIENCE_MS);
	} while (n < 0 && errno == EINTR);
	if (n == 0) {
		output_error("profd: no answer for %d s: see \"systemctl status profd\"",
			     CONNECT_PATIENCE_MS / 1000);
		return -ETIMEDOUT;
	}
	return connect_receive(fd, ret_reply);
}

int connect_ask(const struct profctl *ctl, const Profd__Request *request,
		int (*take)(const Profd__Reply *reply, void *userdata), void *userdata)
{
	_cleanup_close_ int fd = -1;

	fd = connect_open(ctl);
	if (fd < 0)
		return PROFCTL_NO_DAEMON;
	if (connect_send(fd, request) < 0)
		return PROFCTL_FAILED;
	for (;;) {
		_cleanup_(reply_done) struct reply reply = {.fd = -1};

		if (receive_in_time(fd, &reply) < 0)
			return PROFCTL_FAILED;
		if (reply.message->kind_case == PROFD__REPLY__KIND_DONE)
			return PROFCTL_DONE;
		if (reply.message->kind_case == PROFD__REPLY__KIND_ERROR) {
			output_error("%s", reply.message->error->message);
			return PROFCTL_FAILED;
		}
		if (take(reply.message, userdata) < 0)
			return PROFCTL_FAILED;
	}
}
