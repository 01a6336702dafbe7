/*
 * Each thread has a timer of its own CPU time, whose signal goes to that thread:
 * so the samples of a thread are as many as it has used time for, a thread that
 * sleeps is not woken, and no thread is sampled for another. The first interval is
 * drawn at random, or threads that live for less than one would never be seen. The
 * kernel looks at such timers at its ticks only, so a thread can end between the
 * moment that a sample was due and the tick that would have taken it. How many were
 * due is known from its CPU time, and what is missing is counted: the sum holds for
 * short threads too.
 * What a timer could not deliver in time it counts (si_overrun), and such a sample
 * has that much more weight: the sum is the CPU time.
 *
 * The handler records as the heap's sampler does: on the stack, or by single atomic
 * operations, so that it may interrupt anything, a heap sample of its own thread
 * included. It takes no lock, allocates nothing, makes no system call but the one
 * that ends every handler, and is not interrupted by others.
 *
 * The signal is a real-time one from the middle of the range, as programs take
 * theirs from the ends; SIGPROF is left to the program's own profiler. Should the
 * program set its action all the same, that is remembered and not done
 * (cpu_hooks.c): our handler stays, or a timer would end the program.
 *
 * Kernel ids of timers are kept in one array, so that all can be deleted at once
 * when the program confines itself: rt_sigreturn is a system call too.
 */
#include "client/preload/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/early.h"
#include "client/preload/environment.h"
#include "client/preload/fast.h"
#include "client/preload/intern.h"
#include "client/preload/session.h"
#include "client/preload/weight.h"

#define MAX_TIMERS	    4096 /* threads at a time */
#define SLOT_FREE	    0
#define SLOT_CLAIMED	    (-1) /* any other value: the kernel's id plus one */
#define SIGNAL_FIRST	    17	 /* above SIGRTMIN */
#define SIGNALS		    6	 /* that are tried */
#define KERNEL_SIGSET_BYTES 8

uint32_t cpu_state;
int cpu_signal;

static __thread struct {
	uint64_t first_ns; /* of its CPU time: when its first sample is due */
	uint64_t taken;
} cpu_thread;

static uint64_t period_ns;
static pid_t owner; /* the process whose timers these are: a vfork child is not it */
static pthread_key_t thread_end;
static int slots[MAX_TIMERS]; /* atomic */
static uint32_t next_slot;
static uint32_t most_slots; /* those beyond were never taken */

/* Inlined, and bare of all that would make the frame larger: the walk goes deep. */
static inline void record(const void *context, uint64_t weight)
{
	uint32_t stack = intern_interrupted(context);
	uint32_t index = stack == INTERN_NONE ? INTERN_NONE : intern_bucket(stack, 0);
	struct heap_bucket *bucket;

	cpu_thread.taken += weight;
	if (index == INTERN_NONE) {
		__atomic_fetch_add(&session.table->cpu.lost, weight, __ATOMIC_RELAXED);
		return;
	}
	bucket = &session.buckets[index];
	__atomic_fetch_add(&bucket->alloc_objects, weight << HEAP_OBJECT_SHIFT, __ATOMIC_RELAXED);
	__atomic_fetch_add(&bucket->alloc_bytes, weight * period_ns << HEAP_BYTE_SHIFT,
			   __ATOMIC_RELAXED);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	int saved = errno;

	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != slots)
		cpu_hooks_pass(signal, info, context);
	else if (session_is_recording())
		record(context, 1 + (uint64_t)(uint32_t)info->si_overrun);
	errno = saved;
}

/* ---- timers */

static int claim_slot(void)
{
	uint32_t first = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < MAX_TIMERS; i++) {
		uint32_t at = (first + i) % MAX_TIMERS, most;
		int expected = SLOT_FREE;

		if (!__atomic_compare_exchange_n(&slots[at], &expected, SLOT_CLAIMED, false,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		most = __atomic_load_n(&most_slots, __ATOMIC_RELAXED);
		while (most <= at &&
		       !__atomic_compare_exchange_n(&most_slots, &most, at + 1, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
		return (int)at;
	}
	return -EAGAIN;
}

/* Whoever takes the id out of the slot deletes the timer. */
static void delete_timer(int *slot)
{
	int id = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	if (id > 0 && __atomic_compare_exchange_n(slot, &id, SLOT_CLAIMED, false, __ATOMIC_ACQUIRE,
						  __ATOMIC_RELAXED))
		syscall(SYS_timer_delete, id - 1);
}

static uint64_t thread_ns(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* The calling thread has no timer any more. */
static void count_missed(void)
{
	uint64_t now = thread_ns(), due = 0;

	if (now >= cpu_thread.first_ns)
		due = 1 + (now - cpu_thread.first_ns) / period_ns;
	if (due > cpu_thread.taken && session_is_recording())
		__atomic_fetch_add(&session.table->cpu.missed, due - cpu_thread.taken,
				   __ATOMIC_RELAXED);
}

/* The slot of a timer that is gone already, with all others, stays as it is. */
static void on_thread_end(void *value)
{
	int *slot = value;

	if (!cpu_is_on())
		return;
	delete_timer(slot);
	count_missed();
	__atomic_store_n(slot, SLOT_FREE, __ATOMIC_RELEASE);
}

/* The C library may allocate for it, which is no part of the program's heap. */
static int remember_slot(int *slot)
{
	uint64_t countdown = fast_thread.countdown;
	int r;

	fast_thread.countdown = UINT64_MAX;
	r = pthread_setspecific(thread_end, slot);
	fast_thread.countdown = countdown;
	return -r;
}

/* The signal is let in, though a program may start its threads with all blocked. */
static int arm(int *slot)
{
	static const struct itimerspec never;
	struct itimerspec when = {.it_interval.tv_nsec = (long)(period_ns % NSEC_PER_SEC),
				  .it_interval.tv_sec = (time_t)(period_ns / NSEC_PER_SEC)};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = cpu_signal};
	pid_t tid = (pid_t)syscall(SYS_gettid);
	uint64_t first = 1 + weight_mix(session.seed + (uint64_t)tid * NSEC_PER_SEC) % period_ns;
	uint64_t own = 1ULL << (cpu_signal - 1);
	int id;

	event.sigev_value.sival_ptr = slots;
	event._sigev_un._tid = tid;
	if (syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &id) < 0)
		return -errno;
	__atomic_store_n(slot, id + 1, __ATOMIC_RELEASE);
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &own, NULL, KERNEL_SIGSET_BYTES);
	cpu_thread.first_ns = thread_ns() + first;
	cpu_thread.taken = 0;
	when.it_value.tv_sec = (time_t)(first / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(first % NSEC_PER_SEC);
	syscall(SYS_timer_settime, id, 0, &when, NULL);
	if (!cpu_is_on()) { /* all were deleted meanwhile; this one may have been missed */
		syscall(SYS_timer_settime, id, 0, &never, NULL);
		delete_timer(slot);
	}
	return 0;
}

static int begin_thread(void)
{
	int at = claim_slot(), r;

	if (at < 0)
		return at;
	r = remember_slot(&slots[at]);
	if (r == 0)
		r = arm(&slots[at]);
	if (r < 0) {
		remember_slot(NULL);
		__atomic_store_n(&slots[at], SLOT_FREE, __ATOMIC_RELEASE);
	}
	return r;
}

void cpu_begin_thread(void)
{
	int saved = errno;

	if (!cpu_is_on() || !session_is_recording() || pthread_getspecific(thread_end))
		return;
	if (begin_thread() < 0)
		__atomic_fetch_add(&session.table->cpu.refused, 1, __ATOMIC_RELAXED);
	errno = saved;
}

void cpu_end_thread(void)
{
	void *slot = cpu_is_on() ? pthread_getspecific(thread_end) : NULL;

	if (!slot)
		return;
	remember_slot(NULL);
	on_thread_end(slot);
}

/* ---- beginning and end */

static bool take_signal(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		int signal = SIGRTMIN + SIGNAL_FIRST + i;

		if (!cpu_hooks_install(signal, on_signal))
			continue;
		cpu_signal = signal;
		return true;
	}
	return false;
}

static bool begin(uint32_t hz)
{
	if (hz == 0 || pthread_key_create(&thread_end, on_thread_end) != 0)
		return false;
	period_ns = NSEC_PER_SEC / hz;
	owner = getpid();
	session.table->cpu.hz = hz;
	if (take_signal())
		return true;
	session.table->cpu.end = HEAP_CPU_NO_SIGNAL;
	return false;
}

void cpu_init(void)
{
	const struct environment *environment;
	uint32_t fresh = CPU_NEW;
	int saved = errno;

	if (__atomic_load_n(&cpu_state, __ATOMIC_ACQUIRE) != CPU_NEW || !early_next_is_ready())
		return;
	environment = environment_get();
	if (!environment)
		return;
	session_begin();
	if (__atomic_load_n(&session.state, __ATOMIC_ACQUIRE) < SESSION_ACTIVE ||
	    !__atomic_compare_exchange_n(&cpu_state, &fresh, CPU_STARTING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&cpu_state,
			 session_is_recording() && begin(environment->cpu_hz) ? CPU_ON : CPU_OFF,
			 __ATOMIC_RELEASE);
	errno = saved;
}

void cpu_after_fork(void)
{
	if (!cpu_is_on())
		return;
	owner = getpid();
	memset(slots, 0, most_slots * sizeof(slots[0]));
	session.table->cpu.lost = session.table->cpu.missed = session.table->cpu.refused = 0;
	remember_slot(NULL);
	cpu_begin_thread();
}

void cpu_leave(void)
{
	uint32_t most;

	if (!cpu_is_on() || getpid() != owner)
		return;
	__atomic_store_n(&cpu_state, CPU_OFF, __ATOMIC_SEQ_CST);
	session.table->cpu.end = HEAP_CPU_CONFINED;
	most = __atomic_load_n(&most_slots, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < most; i++)
		delete_timer(&slots[i]);
}
