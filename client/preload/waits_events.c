/*
 * What threads wait for that nobody holds: condition variables, semaphores, barriers,
 * the end of another thread.
 *
 * The next function is called in any case, and does what the program asked for, as it
 * does it: most of these are cancellation points, also where nothing is waited for. A
 * thread that is cancelled in one leaves nothing of ours behind but its stack frames.
 *
 * A wait for a condition variable releases a mutex, which is charged as any release.
 */
#include "client/preload/waits.h"

#include <errno.h>

static void charge_release(const void *mutex)
{
	uint64_t ns;

	if (waits_release(mutex, &ns))
		waits_charge(ns);
}

#define COLD_CONDITION(name, parameters, arguments, mutex)                                         \
	static FAST_COLD int cold_##name parameters                                                \
	{                                                                                          \
		if (!waits_are_measured())                                                         \
			return WAITS_NEXT(name) arguments;                                         \
		charge_release(mutex);                                                             \
		return WAITS_MEASURE(NULL, WAITS_NEXT(name) arguments);                            \
	}                                                                                          \
	WAITS_HOOK(name, parameters, arguments)

#define COLD_EVENT(name, parameters, arguments, waits)                                             \
	static FAST_COLD int cold_##name parameters                                                \
	{                                                                                          \
		if (!waits_are_measured() || !(waits))                                             \
			return WAITS_NEXT(name) arguments;                                         \
		return WAITS_MEASURE(NULL, WAITS_NEXT(name) arguments);                            \
	}                                                                                          \
	WAITS_HOOK(name, parameters, arguments)

COLD_CONDITION(pthread_cond_wait,
	       (pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex),
	       (condition, mutex), mutex)
COLD_CONDITION(pthread_cond_timedwait,
	       (pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
		const struct timespec *restrict until),
	       (condition, mutex, until), mutex)
COLD_CONDITION(pthread_cond_clockwait,
	       (pthread_cond_t * condition, pthread_mutex_t *mutex, clockid_t clock,
		const struct timespec *until),
	       (condition, mutex, clock, until), mutex)
COLD_CONDITION(cnd_wait, (cnd_t * condition, mtx_t *mutex), (condition, mutex), mutex)
COLD_CONDITION(cnd_timedwait,
	       (cnd_t *restrict condition, mtx_t *restrict mutex,
		const struct timespec *restrict until),
	       (condition, mutex, until), mutex)

/* One that is free is not waited for, most likely: another may be faster. */
static bool is_taken(sem_t *semaphore)
{
	int saved = errno, value = 0;

	(void)WAITS_NEXT(sem_getvalue)(semaphore, &value);
	errno = saved;
	return value <= 0;
}

COLD_EVENT(sem_wait, (sem_t * semaphore), (semaphore), is_taken(semaphore))
COLD_EVENT(sem_timedwait, (sem_t *restrict semaphore, const struct timespec *restrict until),
	   (semaphore, until), is_taken(semaphore))
COLD_EVENT(sem_clockwait,
	   (sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until),
	   (semaphore, clock, until), is_taken(semaphore))
COLD_EVENT(pthread_barrier_wait, (pthread_barrier_t * barrier), (barrier), true)
COLD_EVENT(pthread_join, (pthread_t thread, void **ret_value), (thread, ret_value), true)
COLD_EVENT(thrd_join, (thrd_t thread, int *ret_value), (thread, ret_value), true)
