#include "daemon/keeper/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "profd/base.h"

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

int pass_send(int socket, struct iovec *parts, size_t n_parts, int fd, int flags)
{
	union control control = {};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = n_parts};
	ssize_t r;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.room);
		control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS,
						.cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	do
		r = sendmsg(socket, &m, flags | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* There is room for one: others the kernel does not hand out. */
ssize_t pass_receive(int socket, void *ret, size_t size, int flags, int *ret_fd)
{
	union control control = {};
	struct iovec part = {.iov_base = ret, .iov_len = size};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control.room)};
	const struct cmsghdr *c;
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(socket, &m, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}
