/*
 * One thread that sleeps on the request's sequence number, a futex in the shared
 * table, and answers what profd asks. It needs no descriptor, so there is none
 * that the program could close or write to, and takes no signal.
 *
 * The program should not notice that it has a thread more. A process ends when
 * its last thread does, and the C library counts threads for that, so this one
 * is taken out of the count. What it allocates is not sampled. When the program
 * is about to do what only a process of one thread may do, or what one thread
 * does for itself alone, the thread ends before (aside.c).
 *
 * It is started before main, in a program of one thread, too. Later there is no safe
 * moment: a system call that the program does not make itself may be what its filter
 * kills for, and starting a thread takes locks of the loader and the allocator, which
 * any interposed function may be called under. And nobody else can answer for a
 * program that sleeps: a signal would end its wait early, and the allocator of a
 * process of one thread takes no locks that could keep another one out.
 *
 * In a fork's child it is started again only if no thread but this and the forking
 * one existed: another could have held a lock of the C library or the loader at that
 * moment, which then stays locked in the child, and starting a thread would wait for
 * it. Such a child samples without answering requests.
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

#include "client/preload/fast.h"
#include "client/preload/objects.h"
#include "client/preload/session.h"
#include "client/preload/trim.h"
#include "proto/control.h"

#define THREAD_NAME "profd"
#define STOP_YIELDS 1000 /* before waiting in earnest */

#define STOP_WAITS 1000 /* of a millisecond each */

/* Not every C library has it, and a name that is not found keeps a program from
 * starting. */
#pragma weak pthread_clockjoin_np

enum service_state {
	SERVICE_NONE,
	SERVICE_RUNNING,
	SERVICE_CHANGING, /* somebody starts or stops it: whoever else wants to, does not */
};

static uint32_t state;	     /* atomic, enum service_state */
static bool busy;	     /* atomic: it may hold locks of the allocator or the loader */
static bool leaving;	     /* atomic: it has been told to end */
static bool confined;	     /* it has left for good, and for the children too */
static bool unwanted;	     /* the user does without it */
static bool child_may_start; /* what service_before_fork() found */
static pthread_t thread;
static pid_t thread_tid;    /* once it has run */
static pid_t owner;	    /* the process that all this is of: a vfork child is not it */
static unsigned *n_threads; /* the C library's count; NULL: not to be had */

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

	if (n == 0 || n >= sizeof(address.sun_path))
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

static void work(bool asked, uint32_t seq)
{
	if (asked)
		answer(seq);
	if (objects_need_refresh())
		objects_refresh();
}

static void *serve(void *unused)
{
	static const struct timespec refresh = {.tv_sec = OBJECTS_REFRESH_MS / 1000};
	uint32_t *seq = &session.table->request.seq;
	uint32_t served = session.table->reply.seq, now;

	fast_thread.countdown = UINT64_MAX;
	thread_tid = gettid();
	syscall(SYS_prctl, PR_SET_NAME, THREAD_NAME, 0, 0, 0);
	for (;;) {
		now = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
		if (now != served || objects_need_refresh()) {
			__atomic_store_n(&busy, true, __ATOMIC_SEQ_CST);
			work(now != served, now);
			__atomic_store_n(&busy, false, __ATOMIC_SEQ_CST);
		}
		served = now;
		if (__atomic_load_n(&leaving, __ATOMIC_ACQUIRE))
			return NULL;
		syscall(SYS_futex, seq, FUTEX_WAIT, served,
			objects_need_refresh() ? &refresh : NULL, NULL, 0);
	}
}

/* On a stack out of the reserve: a mapping of its own would cost more than all of
 * what happens on it. It has no guard page, but many times the room that is used. */
static int create_thread(void)
{
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return r;
	r = pthread_attr_setstack(&attr, session.service_stack, session.service_stack_bytes);
	if (r == 0)
		r = pthread_create(&thread, &attr, serve, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

/* profd asks no more where nobody answers. */
static void enter_state(enum service_state entered)
{
	if (entered == SERVICE_RUNNING)
		__atomic_fetch_and(&session.table->notes, ~HEAP_NOTE_NO_SERVICE, __ATOMIC_RELAXED);
	else
		__atomic_fetch_or(&session.table->notes, HEAP_NOTE_NO_SERVICE, __ATOMIC_RELAXED);
	__atomic_store_n(&state, entered, __ATOMIC_RELEASE);
}

void service_start(void)
{
	uint64_t countdown = fast_thread.countdown;
	sigset_t all, before;
	int r;

	n_threads = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
	owner = getpid();
	leaving = busy = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	fast_thread.countdown = 0; /* all that is allocated takes the slow path */
	fast_thread.own = true;
	r = create_thread();
	fast_thread.own = false;
	fast_thread.countdown = countdown;
	if (r == 0 && n_threads)
		__atomic_fetch_sub(n_threads, 1, __ATOMIC_RELAXED);
	enter_state(r == 0 ? SERVICE_RUNNING : SERVICE_NONE);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void service_do_without(void)
{
	unwanted = true;
	owner = getpid();
	enter_state(SERVICE_NONE);
}

/* The C library has let go of it when this returns true. A wake can come before
 * the wait that it is meant for, so there are many. */
static bool join_thread(void)
{
	static const struct timespec a_while = {.tv_nsec = (long)NSEC_PER_MSEC};
	struct timespec until;
	int cancel, r = ETIMEDOUT;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	for (unsigned i = 0; i < STOP_WAITS && r == ETIMEDOUT; i++) {
		syscall(SYS_futex, &session.table->request.seq, FUTEX_WAKE, 1, NULL, NULL, 0);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += (long)NSEC_PER_MSEC;
		if (until.tv_nsec >= (long)NSEC_PER_SEC) {
			until.tv_nsec -= (long)NSEC_PER_SEC;
			until.tv_sec++;
		}
		if (pthread_clockjoin_np) {
			r = pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until);
			continue;
		}
		nanosleep(&a_while, NULL);
		r = pthread_tryjoin_np(thread, NULL) == 0 ? 0 : ETIMEDOUT;
	}
	pthread_setcancelstate(cancel, NULL);
	return r == 0;
}

/* Takes the running thread out of others' hands. False: there is none. */
static bool take_thread(void)
{
	uint32_t expected = SERVICE_RUNNING;

	return __atomic_load_n(&state, __ATOMIC_RELAXED) == SERVICE_RUNNING && getpid() == owner &&
	       __atomic_compare_exchange_n(&state, &expected, SERVICE_CHANGING, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Ends the thread, which has been taken. True: it is gone. */
static bool stop_thread(void)
{
	__atomic_store_n(&leaving, true, __ATOMIC_RELEASE);
	if (n_threads)
		__atomic_fetch_add(n_threads, 1, __ATOMIC_RELAXED);
	return join_thread();
}

bool service_is_confined(void)
{
	return confined;
}

void service_leave(bool for_children_too)
{
	sigset_t all, before;

	/* Asked once: a filter may kill for asking again. */
	if (for_children_too && !confined)
		confined = getpid() == owner;
	if (!take_thread())
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	stop_thread();
	enter_state(SERVICE_NONE);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A thread that has been joined is still one of the process's for a moment. */
static void await_release(void)
{
	struct timespec moment = {.tv_nsec = (long)NSEC_PER_MSEC};

	for (unsigned i = 0; syscall(SYS_tgkill, owner, thread_tid, 0) == 0; i++) {
		if (i >= STOP_YIELDS + STOP_WAITS)
			return;
		if (i < STOP_YIELDS)
			sched_yield();
		else
			syscall(SYS_nanosleep, &moment, NULL);
	}
}

bool service_pause(void)
{
	sigset_t all, before;
	bool stopped;

	if (!n_threads || __atomic_load_n(n_threads, __ATOMIC_RELAXED) != 1 || !take_thread())
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	stopped = stop_thread();
	if (stopped)
		await_release();
	else
		enter_state(SERVICE_NONE);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return stopped;
}

void service_before_fork(void)
{
	unsigned own = __atomic_load_n(&state, __ATOMIC_ACQUIRE) == SERVICE_RUNNING;
	struct stat st;

	child_may_start = !confined && !unwanted && stat("/proc/self/task", &st) == 0 &&
			  st.st_nlink == 2 + 1 + own &&
			  !(own && __atomic_load_n(&busy, __ATOMIC_SEQ_CST));
}

void service_after_fork(void)
{
	if (child_may_start) {
		service_start();
		return;
	}
	owner = getpid();
	enter_state(SERVICE_NONE);
}
