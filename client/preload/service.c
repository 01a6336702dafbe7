/*
 * One thread that sleeps on the request's sequence number, a futex in the shared
 * table, and answers what profd asks. It needs no descriptor, so there is none
 * that the program could close or write to, and takes no signal.
 *
 * The program should not notice that it has a thread more. A process ends when
 * its last thread does, and the C library counts threads for that, so this one
 * is taken out of the count. In a fork's child it is started again only if no
 * thread but this and the forking one existed: another could have held a lock
 * of the C library or the loader at that moment, which then stays locked in the
 * child, and starting a thread would wait for it. Such a child samples without
 * answering requests.
 */
#include "client/preload/service.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/objects.h"
#include "client/preload/session.h"
#include "client/preload/trim.h"
#include "proto/control.h"

#define THREAD_NAME	"profd"
#define STACK_BYTES	(64 * 1024)
#define STACK_BYTES_MAX (1024 * 1024) /* where thread-local storage takes much of it */
#define START_YIELDS	1000	      /* bounds the wait for a thread that does not get to run */

static bool running;	     /* the thread exists */
static bool busy;	     /* atomic: it is not asleep yet or again, and may hold locks */
static bool child_may_start; /* what service_before_fork() found */

void service_attach(const char *path, int table_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	uint8_t bytes[16];
	struct iovec iov = {
		.iov_base = bytes,
		.iov_len = control_attach_encode(HEAP_TABLE_VERSION, bytes, sizeof(bytes)),
	};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	size_t n = strlen(path);
	int fd;

	if (n >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, n);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &table_fd, sizeof(table_fd));

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void answer(uint32_t seq)
{
	struct heap_request *request = &session.table->request;
	struct heap_reply *reply = &session.table->reply;

	if (__atomic_load_n(&request->verb, __ATOMIC_RELAXED) != HEAP_VERB_TRIM)
		return;
	trim_run(__atomic_load_n(&request->budget_bytes, __ATOMIC_RELAXED), reply);
	__atomic_store_n(&reply->seq, seq, __ATOMIC_RELEASE);
	syscall(SYS_futex, &reply->seq, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void *serve(void *unused)
{
	static const struct timespec refresh = {.tv_sec = OBJECTS_REFRESH_MS / 1000};
	uint32_t *seq = &session.table->request.seq;
	uint32_t served = session.table->reply.seq, now;

	prctl(PR_SET_NAME, THREAD_NAME, 0, 0, 0);
	for (;;) {
		now = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
		__atomic_store_n(&busy, true, __ATOMIC_SEQ_CST);
		if (now != served)
			answer(now);
		if (objects_need_refresh())
			objects_refresh();
		served = now;
		__atomic_store_n(&busy, false, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, seq, FUTEX_WAIT, served,
			objects_need_refresh() ? &refresh : NULL, NULL, 0);
	}
	return NULL;
}

static int create_thread(size_t stack_bytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_attr_setstacksize(&attr, stack_bytes);
	if (r == 0)
		r = pthread_create(&thread, &attr, serve, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

/* Programs fork as soon as they run, to become daemons; the thread should have
 * come to rest by then. */
static void await_sleep(void)
{
	for (unsigned i = 0; i < START_YIELDS && running; i++) {
		if (!__atomic_load_n(&busy, __ATOMIC_SEQ_CST))
			return;
		sched_yield();
	}
}

void service_start(void)
{
	unsigned *n_threads = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
	sigset_t all, before;
	size_t stack_bytes = STACK_BYTES;
	int r;

	busy = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	do {
		r = create_thread(stack_bytes);
		stack_bytes *= 4;
	} while (r == EINVAL && stack_bytes <= STACK_BYTES_MAX);
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	running = r == 0;
	if (running && n_threads)
		__atomic_fetch_sub(n_threads, 1, __ATOMIC_RELAXED);
	await_sleep();
}

void service_before_fork(void)
{
	struct stat st;

	child_may_start = running && stat("/proc/self/task", &st) == 0 && st.st_nlink == 2 + 2 &&
			  !__atomic_load_n(&busy, __ATOMIC_SEQ_CST);
}

void service_after_fork(void)
{
	running = false;
	if (child_may_start)
		service_start();
}
