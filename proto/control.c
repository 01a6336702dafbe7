/*
 * One message a packet. SEQPACKET keeps the boundaries, so framing is only a
 * matter of limits: a packet that does not fit, or whose descriptors do not
 * fit, is refused whole, and every descriptor that came with it is closed.
 * A peer can make the receiver drop its message; it cannot make it leak.
 *
 * A packet of no bytes cannot be told from the end of the connection. No
 * message of ours is empty, so sending one is refused and receiving one counts
 * as the end.
 */
#include "proto/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/heap_name.h"

union control_ancillary { /* room for CONTROL_MAX_FDS and no more */
	char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

static void attach_fds(struct msghdr *msg, union control_ancillary *ancillary, const int *fds,
		       size_t n_fds)
{
	struct cmsghdr *cmsg;

	if (n_fds == 0)
		return;
	memset(ancillary, 0, sizeof(*ancillary));
	msg->msg_control = ancillary->bytes;
	msg->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
}

int control_send(int socket, const ProtobufCMessage *message, const int *fds, size_t n_fds)
{
	union control_ancillary ancillary;
	_cleanup_free_ uint8_t *bytes = NULL;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t n;
	ssize_t sent;

	if (n_fds > CONTROL_MAX_FDS)
		return -EINVAL;
	n = protobuf_c_message_get_packed_size(message);
	if (n > PROFD_MAX_PACKET)
		return -EMSGSIZE;
	if (n == 0)
		return -EINVAL;
	bytes = malloc(n);
	if (!bytes)
		return -ENOMEM;
	protobuf_c_message_pack(message, bytes);

	iov = (struct iovec){.iov_base = bytes, .iov_len = n};
	attach_fds(&msg, &ancillary, fds, n_fds);
	do {
		sent = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	/* Which of the two the kernel says depends on what the peer left unread. */
	return errno == ECONNRESET ? -EPIPE : -errno;
}

/* Collects every descriptor the kernel installed, wanted or not. */
static void collect_fds(struct msghdr *msg, struct control_packet *packet)
{
	struct cmsghdr *cmsg;
	size_t n;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		n = min(n, (size_t)CONTROL_MAX_FDS - packet->n_fds);
		memcpy(packet->fds + packet->n_fds, CMSG_DATA(cmsg), n * sizeof(int));
		packet->n_fds += n;
	}
}

void control_packet_done(struct control_packet *packet)
{
	for (size_t i = 0; i < packet->n_fds; i++)
		if (packet->fds[i] >= 0)
			close(packet->fds[i]);
	free(packet->bytes);
	*packet = (struct control_packet){.fds = {-1, -1, -1, -1}};
}

/* What is wrong with what recvmsg() gave; 0: nothing. */
static int check_received(ssize_t n, const struct msghdr *msg)
{
	if (n == 0)
		return -ECONNRESET;
	if (msg->msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (msg->msg_flags & MSG_CTRUNC)
		return -EBADMSG;
	return 0;
}

int control_recv(int socket, int flags, struct control_packet *ret_packet)
{
	_cleanup_(control_packet_done) struct control_packet packet = {.fds = {-1, -1, -1, -1}};
	union control_ancillary ancillary;
	struct iovec iov;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ancillary.bytes,
		.msg_controllen = sizeof(ancillary.bytes),
	};
	uint8_t *shrunk;
	ssize_t n;
	int r;

	packet.bytes = malloc(PROFD_MAX_PACKET);
	if (!packet.bytes)
		return -ENOMEM;
	iov = (struct iovec){.iov_base = packet.bytes, .iov_len = PROFD_MAX_PACKET};
	do {
		n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	collect_fds(&msg, &packet);
	r = check_received(n, &msg);
	if (r < 0)
		return r;

	packet.n_bytes = (size_t)n;
	shrunk = realloc(packet.bytes, packet.n_bytes);
	if (shrunk)
		packet.bytes = shrunk;
	*ret_packet = packet;
	packet = (struct control_packet){.fds = {-1, -1, -1, -1}};
	return 0;
}

int control_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t n = strlen(path);

	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}

const char *control_path(const char *given)
{
	const char *path = given;

	if (!path || path[0] == '\0')
		path = getenv("PROFD_SOCKET");
	return path && path[0] != '\0' ? path : DEFAULT_SOCKET_PATH;
}
