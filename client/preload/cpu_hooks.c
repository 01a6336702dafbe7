/*
 * What must know of new threads and of the timers' signal.
 *
 * Interposed: pthread_create, so that each thread gets its timer before its start
 * routine; and thrd_create, too, for the stacks that create threads, and for the last
 * moment at which a program has one thread (waits.h). The others are tail calls while
 * timers are off: sigaction and signal, so that the signal's action stays ours (a program
 * that sets all signals to their default would otherwise be ended by the next
 * timer); pthread_sigmask, sigprocmask and the sigwait family, so that the signal
 * is neither blocked nor taken by a program that means "all signals".
 *
 * The program sees its own settings: what it sets for our signal is remembered,
 * returned, and done when somebody else sends the signal.
 *
 * Threads of thrd_create() and of a raw clone() have no timer.
 */
#include "client/preload/cpu.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/fast.h"
#include "client/preload/record.h"
#include "client/preload/session.h"
#include "client/preload/waits.h"

#define EXPORT __attribute__((visibility("default")))

static struct {
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int (*thrd_create)(thrd_t *, thrd_start_t, void *);
	int (*sigaction)(int, const struct sigaction *, struct sigaction *);
	sighandler_t (*signal)(int, sighandler_t);
	int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
	int (*sigprocmask)(int, const sigset_t *, sigset_t *);
	int (*sigwait)(const sigset_t *, int *);
	int (*sigwaitinfo)(const sigset_t *, siginfo_t *);
	int (*sigtimedwait)(const sigset_t *, siginfo_t *, const struct timespec *);
} next;

/* The next function of the name. Looked up at our start, for a handler or a fork's child
 * may be the first to call it, which must take no lock of the loader; or before, by
 * what comes before that. */
#define NEXT(name)                                                                                 \
	({                                                                                         \
		__typeof__(next.name) _f = __atomic_load_n(&next.name, __ATOMIC_RELAXED);          \
		if (unlikely(!_f)) {                                                               \
			*(void **)&_f = dlsym(RTLD_NEXT, #name);                                   \
			__atomic_store_n(&next.name, _f, __ATOMIC_RELAXED);                        \
		}                                                                                  \
		_f;                                                                                \
	})

void cpu_hooks_init(void)
{
	(void)(NEXT(pthread_create) && NEXT(sigaction) && NEXT(signal) && NEXT(pthread_sigmask) &&
	       NEXT(sigprocmask) && NEXT(sigwait) && NEXT(sigwaitinfo) && NEXT(sigtimedwait));
}

/* ---- threads */

struct launch {
	void *(*start)(void *);
	void *argument;
};

/* A tail call: the program's routine has the stack that it would have. */
static void *run(void *p)
{
	struct launch launch = *(struct launch *)p;

	fast_next.free(p);
	cpu_begin_thread();
	return launch.start(launch.argument);
}

/* The start and the end of this library's mapping: the linker's names for them. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static bool is_own(void *(*start)(void *))
{
	return (uint64_t)start - (uint64_t)__ehdr_start < (uint64_t)(_end - __ehdr_start);
}

/* What starting one takes is no part of the program's heap. */
static FAST_COLD int create_sampled(pthread_t *thread, const pthread_attr_t *attr,
				    void *(*start)(void *), void *argument)
{
	struct launch *launch = fast_next.malloc(sizeof(*launch));
	int r;

	if (!launch)
		return NEXT(pthread_create)(thread, attr, start, argument);
	*launch = (struct launch){start, argument};
	r = NEXT(pthread_create)(thread, attr, run, launch);
	if (r != 0)
		fast_next.free(launch);
	return r;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *argument)
{
	int r;

	if (unlikely(__atomic_load_n(&cpu_state, __ATOMIC_RELAXED) == CPU_NEW))
		cpu_init();
	if (is_own(start)) /* is not sampled */
		return NEXT(pthread_create)(thread, attr, start, argument);
	waits_init();
	if (unlikely(cpu_is_on()))
		r = create_sampled(thread, attr, start, argument);
	else
		r = NEXT(pthread_create)(thread, attr, start, argument);
	if (r == 0)
		record_note(HEAP_KIND_THREADCREATE, 1ULL << HEAP_OBJECT_SHIFT, 0);
	return r;
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
	int r;

	waits_init();
	if (!NEXT(thrd_create))
		return thrd_error;
	r = NEXT(thrd_create)(thread, start, argument);
	if (r == thrd_success)
		record_note(HEAP_KIND_THREADCREATE, 1ULL << HEAP_OBJECT_SHIFT, 0);
	return r;
}

/* ---- the signal's action */

static struct sigaction wanted; /* the program's, of cpu_signal */

bool cpu_hooks_install(int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler,
				   .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
	struct sigaction before;

	/* The rest before the last: on failure nothing of the program's has changed. */
	if (!NEXT(sigaction) || !NEXT(signal) || !NEXT(pthread_create) || !NEXT(pthread_sigmask) ||
	    NEXT(sigaction)(signal, NULL, &before) < 0 || before.sa_handler != SIG_DFL)
		return false;
	sigfillset(&action.sa_mask);
	return NEXT(sigaction)(signal, &action, NULL) == 0;
}

static int exchange_wanted(const struct sigaction *action, struct sigaction *ret_before)
{
	struct sigaction before = wanted;

	if (action)
		wanted = *action;
	if (ret_before)
		*ret_before = before;
	return 0;
}

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *ret_before)
{
	if (unlikely(number == cpu_signal) && number != 0)
		return exchange_wanted(action, ret_before);
	return NEXT(sigaction)(number, action, ret_before);
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;

	if (unlikely(number == cpu_signal) && number != 0) {
		exchange_wanted(&action, &before);
		return before.sa_handler;
	}
	return NEXT(signal)(number, handler);
}

/* The default action ends the process, as soon as our handler has returned. */
void cpu_hooks_pass(int number, siginfo_t *info, void *context)
{
	static const struct sigaction none = {.sa_handler = SIG_DFL};
	struct sigaction action = wanted;

	if (action.sa_handler == SIG_DFL) {
		NEXT(sigaction)(number, &none, NULL);
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
	} else if (action.sa_handler == SIG_IGN) {
		return;
	} else if (action.sa_flags & SA_SIGINFO) {
		action.sa_sigaction(number, info, context);
	} else {
		action.sa_handler(number);
	}
}

/* ---- sets of signals */

/* @set without ours, in @room if that makes a difference. */
static inline const sigset_t *without_ours(const sigset_t *set, sigset_t *room)
{
	if (!set || sigismember(set, cpu_signal) != 1)
		return set;
	*room = *set;
	sigdelset(room, cpu_signal);
	return room;
}

static FAST_COLD int change_mask(int (*change)(int, const sigset_t *, sigset_t *), int how,
				 const sigset_t *set, sigset_t *ret_before)
{
	sigset_t room;

	return change(how, without_ours(set, &room), ret_before);
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_before)
{
	if (unlikely(cpu_signal != 0))
		return change_mask(NEXT(pthread_sigmask), how, set, ret_before);
	return NEXT(pthread_sigmask)(how, set, ret_before);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *ret_before)
{
	if (unlikely(cpu_signal != 0))
		return change_mask(NEXT(sigprocmask), how, set, ret_before);
	return NEXT(sigprocmask)(how, set, ret_before);
}

EXPORT int sigwait(const sigset_t *set, int *ret_number)
{
	sigset_t room;

	return NEXT(sigwait)(cpu_signal ? without_ours(set, &room) : set, ret_number);
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *ret_info)
{
	sigset_t room;

	return NEXT(sigwaitinfo)(cpu_signal ? without_ours(set, &room) : set, ret_info);
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *ret_info, const struct timespec *timeout)
{
	sigset_t room;

	return NEXT(sigtimedwait)(cpu_signal ? without_ours(set, &room) : set, ret_info, timeout);
}
