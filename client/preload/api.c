/*
 * What include/profd.h calls. Here, and nowhere else in the client, descriptors are
 * opened and system calls made after the start: in the program's own thread, because it
 * asks for it, and all are closed on return but the connection of a CPU profile that
 * is going on.
 *
 * profd sends the finished profile as a descriptor, and it is copied here. It is not
 * profd that writes to the program's descriptor: a pipe that nobody reads would stop it.
 */
#include "client/preload/api.h"

#include <errno.h>
#include <poll.h>
#include <profd.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/fork.h"
#include "client/preload/session.h"
#include "profd/base.h"
#include "proto/control.h"

#define EXPORT	    __attribute__((visibility("default")))
#define COPY_BYTES  4096
#define REPLY_BYTES 64 /* what is looked at of one */

enum { CPU_IDLE, CPU_CHANGING, CPU_GOING };

static struct {
	uint32_t state; /* atomic */
	int fd;
	dev_t device; /* so that a number that has become another file's is noticed */
	ino_t inode;
	pid_t owner;
} cpu_profile;

static int connect_to_profd(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = PROFD_TIMEOUT_MS / 1000};
	const char *path = fork_socket_path();
	int fd, r;

	if (!session_is_recording())
		return -ENOSYS;
	if (!*path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Where profd hangs, connections queue, and a full queue makes us wait. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return r;
}

static int say(int fd, const uint8_t *bytes, size_t n)
{
	if (n == 0)
		return -EINVAL;
	return send(fd, bytes, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int64_t mono_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_readable(int fd)
{
	int64_t end = mono_ms() + PROFD_TIMEOUT_MS, left;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int r;

	while ((left = end - mono_ms()) > 0) {
		r = poll(&wait, 1, (int)left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

/* One reply. *ret_file: the descriptor that came with it, or -1. Returns enum
 * control_answer, but an error as -errno. */
static int hear(int fd, int *ret_file)
{
	uint8_t bytes[REPLY_BYTES];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	enum control_answer answer;
	ssize_t n;
	int r, error = 0;

	*ret_file = -1;
	r = wait_readable(fd);
	if (r < 0)
		return r;
	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n < 0 ? -errno : -EPROTO;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.header.cmsg_level == SOL_SOCKET && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(ret_file, CMSG_DATA(&control.header), sizeof(*ret_file));
	answer = control_answer_read(bytes, (size_t)n, &error);
	if (answer == CONTROL_ANSWER_BAD)
		return -EPROTO;
	if (answer == CONTROL_ANSWER_MISSING)
		return -ENODATA;
	if (answer == CONTROL_ANSWER_ERROR)
		return error == ENOTSUP || error == 0 ? -ENODATA : error < 0 ? error : -error;
	return (int)answer;
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, bytes, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

static int copy(int from, int to)
{
	char bytes[COPY_BYTES];
	off_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = pread(from, bytes, sizeof(bytes), at)) > 0) {
		r = write_all(to, bytes, (size_t)n);
		at += n;
	}
	return r < 0 ? r : n < 0 ? -errno : 0;
}

/* Until the request is done. The first file goes to @to; -1: nowhere. */
static int take_answers(int fd, int to)
{
	int r, file, result = -ENODATA;

	for (;;) {
		r = hear(fd, &file);
		if (r == CONTROL_ANSWER_FILE)
			result = to >= 0 && file >= 0 ? copy(file, to) : 0;
		if (file >= 0)
			close(file);
		if (r == CONTROL_ANSWER_DONE)
			return result;
		if (r < 0)
			return r;
	}
}

static int ask(const struct control_ask *what, int to)
{
	uint8_t bytes[CONTROL_ASK_BYTES];
	int fd = connect_to_profd(), r;

	if (fd < 0)
		return fd;
	r = say(fd, bytes, control_ask_encode(what, bytes, sizeof(bytes)));
	if (r == 0)
		r = take_answers(fd, to);
	close(fd);
	return r;
}

/* What it is called for is done or not: no thread is cancelled with a descriptor open. */
#define WHOLE(call)                                                                                \
	({                                                                                         \
		int _saved = errno, _cancel, _result;                                              \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &_cancel);                          \
		_result = (call);                                                                  \
		pthread_setcancelstate(_cancel, NULL);                                             \
		errno = _saved;                                                                    \
		_result;                                                                           \
	})

EXPORT int profd_client_heap(int fd, unsigned flags)
{
	struct control_ask what = {
		.type = "heap",
		.no_trim = flags & PROFD_NO_TRIM,
		.send_files = true,
	};

	return fd < 0 ? -EBADF : WHOLE(ask(&what, fd));
}

EXPORT int profd_client_snapshot(const char *type, unsigned flags)
{
	struct control_ask what = {.type = type, .no_trim = flags & PROFD_NO_TRIM};

	return WHOLE(ask(&what, -1));
}

/* The status comes after what may be wrong with the request: then it is under way. */
static int start_cpu(int fd)
{
	static const struct control_ask what = {
		.type = "cpu", .send_files = true, .until_stopped = true};
	uint8_t bytes[CONTROL_ASK_BYTES];
	int r, file;

	r = say(fd, bytes, control_ask_encode(&what, bytes, sizeof(bytes)));
	if (r == 0)
		r = say(fd, bytes, control_ask_status(bytes));
	while (r >= 0 && r != CONTROL_ANSWER_DONE) {
		r = hear(fd, &file);
		if (file >= 0)
			close(file);
	}
	return r < 0 ? r : 0;
}

static int begin_cpu(void)
{
	int fd = connect_to_profd(), r;
	struct stat st;

	if (fd < 0)
		return fd;
	r = start_cpu(fd);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	cpu_profile.fd = fd;
	cpu_profile.device = st.st_dev;
	cpu_profile.inode = st.st_ino;
	cpu_profile.owner = getpid();
	return 0;
}

static bool change(uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&cpu_profile.state, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

EXPORT int profd_client_cpu_start(void)
{
	int r;

	if (!change(CPU_IDLE, CPU_CHANGING))
		return -EBUSY;
	r = WHOLE(begin_cpu());
	__atomic_store_n(&cpu_profile.state, r < 0 ? CPU_IDLE : CPU_GOING, __ATOMIC_RELEASE);
	return r;
}

static int end_cpu(int to)
{
	uint8_t bytes[CONTROL_ASK_BYTES];
	struct stat st;
	int fd = cpu_profile.fd, r;

	if (fstat(fd, &st) < 0 || st.st_dev != cpu_profile.device || st.st_ino != cpu_profile.inode)
		return -EBADF;
	if (getpid() != cpu_profile.owner) {
		close(fd); /* the parent's goes on */
		return -EINVAL;
	}
	r = say(fd, bytes, control_ask_stop(bytes));
	if (r == 0)
		r = take_answers(fd, to);
	close(fd);
	return r;
}

EXPORT int profd_client_cpu_stop(int fd)
{
	int r;

	if (!change(CPU_GOING, CPU_CHANGING))
		return -EINVAL;
	r = WHOLE(end_cpu(fd));
	__atomic_store_n(&cpu_profile.state, CPU_IDLE, __ATOMIC_RELEASE);
	return r;
}
