/*
 * Mutexes and read-write locks, and C11's mutexes, which the C library takes past the
 * POSIX names.
 *
 * What is free is taken by the try function: it does all that the lock function would
 * (of recursive, robust and priority mutexes, too) but wait, and where it refuses,
 * the lock function is called and gives its own answer, a deadlock's included.
 *
 * A release is charged after it has been made, so that nobody waits for our
 * bookkeeping; of the lock, which may be gone by then, only the address is needed.
 */
#include "client/preload/waits.h"

#include <errno.h>

/* A recursive mutex that is held more than once is not released. */
static bool is_released(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
	return (mutex->__data.__kind & 3) != PTHREAD_MUTEX_RECURSIVE_NP ||
	       mutex->__data.__count <= 1;
#else
	return true;
#endif
}

/* A lock that is free is taken without further questions, also while waits are
 * measured; and one that nobody waits for is released so. */
#define COLD_LOCK(name, parameters, arguments, try, lock, busy)                                    \
	static FAST_COLD int wait_##name parameters                                                \
	{                                                                                          \
		if (!waits_are_measured())                                                         \
			return WAITS_NEXT(name) arguments;                                         \
		return WAITS_MEASURE(lock, WAITS_NEXT(name) arguments);                            \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) int cold_##name parameters                                \
	{                                                                                          \
		if (waits_are_ready()) {                                                           \
			int r = waits_next.try(lock);                                              \
                                                                                                   \
			if (likely(r != (busy)))                                                   \
				return r;                                                          \
		}                                                                                  \
		return wait_##name arguments;                                                      \
	}                                                                                          \
	WAITS_HOOK(name, parameters, arguments)

#define COLD_UNLOCK(name, parameters, lock, released)                                              \
	static FAST_COLD int charge_##name parameters                                              \
	{                                                                                          \
		bool contended;                                                                    \
		uint64_t ns;                                                                       \
		int r;                                                                             \
                                                                                                   \
		contended = waits_are_measured() && (released) && waits_release(lock, &ns);        \
		r = WAITS_NEXT(name)(lock);                                                        \
		if (unlikely(contended))                                                           \
			waits_charge(ns);                                                          \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) int cold_##name parameters                                \
	{                                                                                          \
		if (waits_are_ready() && likely(!waits_any(lock)))                                 \
			return waits_next.name(lock);                                              \
		return charge_##name(lock);                                                        \
	}                                                                                          \
	WAITS_HOOK(name, parameters, (lock))

COLD_LOCK(pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex), pthread_mutex_trylock, mutex,
	  EBUSY)
COLD_LOCK(pthread_mutex_timedlock, (pthread_mutex_t * mutex, const struct timespec *until),
	  (mutex, until), pthread_mutex_trylock, mutex, EBUSY)
COLD_LOCK(pthread_mutex_clocklock,
	  (pthread_mutex_t * mutex, clockid_t clock, const struct timespec *until),
	  (mutex, clock, until), pthread_mutex_trylock, mutex, EBUSY)
COLD_UNLOCK(pthread_mutex_unlock, (pthread_mutex_t * mutex), mutex, is_released(mutex))

COLD_LOCK(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock), pthread_rwlock_tryrdlock, lock,
	  EBUSY)
COLD_LOCK(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock), pthread_rwlock_trywrlock, lock,
	  EBUSY)
COLD_LOCK(pthread_rwlock_timedrdlock, (pthread_rwlock_t * lock, const struct timespec *until),
	  (lock, until), pthread_rwlock_tryrdlock, lock, EBUSY)
COLD_LOCK(pthread_rwlock_timedwrlock, (pthread_rwlock_t * lock, const struct timespec *until),
	  (lock, until), pthread_rwlock_trywrlock, lock, EBUSY)
COLD_LOCK(pthread_rwlock_clockrdlock,
	  (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until),
	  (lock, clock, until), pthread_rwlock_tryrdlock, lock, EBUSY)
COLD_LOCK(pthread_rwlock_clockwrlock,
	  (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until),
	  (lock, clock, until), pthread_rwlock_trywrlock, lock, EBUSY)
COLD_UNLOCK(pthread_rwlock_unlock, (pthread_rwlock_t * lock), lock, true)

COLD_LOCK(mtx_lock, (mtx_t * mutex), (mutex), mtx_trylock, mutex, thrd_busy)
COLD_LOCK(mtx_timedlock, (mtx_t *restrict mutex, const struct timespec *restrict until),
	  (mutex, until), mtx_trylock, mutex, thrd_busy)
COLD_UNLOCK(mtx_unlock, (mtx_t * mutex), mutex, is_released((const pthread_mutex_t *)mutex))
