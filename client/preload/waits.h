/*
 * What threads wait for one another: locks, condition variables, semaphores,
 * barriers, the end of other threads. The kinds block and mutex of profd/heap_table.h.
 *
 * waits_locks.c and waits_events.c interpose the functions; waits.c measures and
 * records. While nobody asks for these profiles, each function is a look at one word
 * and a jump to the next.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <threads.h>
#include <time.h>

#include "client/preload/fast.h"

/* name, the version that is meant where there is more than one, parameters */
#define WAITS_FUNCTIONS(X)                                                                         \
	X(pthread_mutex_lock, NULL, (pthread_mutex_t *))                                           \
	X(pthread_mutex_trylock, NULL, (pthread_mutex_t *))                                        \
	X(pthread_mutex_unlock, NULL, (pthread_mutex_t *))                                         \
	X(pthread_mutex_timedlock, NULL, (pthread_mutex_t *, const struct timespec *))             \
	X(pthread_mutex_clocklock, NULL, (pthread_mutex_t *, clockid_t, const struct timespec *))  \
	X(pthread_rwlock_rdlock, NULL, (pthread_rwlock_t *))                                       \
	X(pthread_rwlock_wrlock, NULL, (pthread_rwlock_t *))                                       \
	X(pthread_rwlock_tryrdlock, NULL, (pthread_rwlock_t *))                                    \
	X(pthread_rwlock_trywrlock, NULL, (pthread_rwlock_t *))                                    \
	X(pthread_rwlock_unlock, NULL, (pthread_rwlock_t *))                                       \
	X(pthread_rwlock_timedrdlock, NULL, (pthread_rwlock_t *, const struct timespec *))         \
	X(pthread_rwlock_timedwrlock, NULL, (pthread_rwlock_t *, const struct timespec *))         \
	X(pthread_rwlock_clockrdlock, NULL,                                                        \
	  (pthread_rwlock_t *, clockid_t, const struct timespec *))                                \
	X(pthread_rwlock_clockwrlock, NULL,                                                        \
	  (pthread_rwlock_t *, clockid_t, const struct timespec *))                                \
	X(pthread_cond_wait, "GLIBC_2.3.2", (pthread_cond_t *, pthread_mutex_t *))                 \
	X(pthread_cond_timedwait, "GLIBC_2.3.2",                                                   \
	  (pthread_cond_t *, pthread_mutex_t *, const struct timespec *))                          \
	X(pthread_cond_clockwait, NULL,                                                            \
	  (pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))               \
	X(sem_wait, NULL, (sem_t *))                                                               \
	X(sem_timedwait, NULL, (sem_t *, const struct timespec *))                                 \
	X(sem_clockwait, NULL, (sem_t *, clockid_t, const struct timespec *))                      \
	X(sem_getvalue, NULL, (sem_t *, int *))                                                    \
	X(pthread_barrier_wait, NULL, (pthread_barrier_t *))                                       \
	X(pthread_join, NULL, (pthread_t, void **))                                                \
	X(mtx_lock, NULL, (mtx_t *))                                                               \
	X(mtx_trylock, NULL, (mtx_t *))                                                            \
	X(mtx_timedlock, NULL, (mtx_t *, const struct timespec *))                                 \
	X(mtx_unlock, NULL, (mtx_t *))                                                             \
	X(cnd_wait, NULL, (cnd_t *, mtx_t *))                                                      \
	X(cnd_timedwait, NULL, (cnd_t *, mtx_t *, const struct timespec *))                        \
	X(thrd_join, NULL, (thrd_t, int *))

/* The next functions of these names. */
struct waits_next {
#define WAITS_MEMBER(name, version, parameters) int(*name) parameters;
	WAITS_FUNCTIONS(WAITS_MEMBER)
#undef WAITS_MEMBER
};

#define WAITS_ENTRIES 8192

/* Who waits for the locks with one hash (waits.c). */
struct waits_entry {
	uint64_t word;	  /* atomic; 0: nobody waits */
	uint64_t release; /* atomic: the moment of the last */
};

#pragma GCC visibility push(hidden)
extern struct waits_next waits_next;
extern const uint32_t *waits_word; /* NULL: not all of waits_next is known yet */
extern struct waits_entry waits_entries[WAITS_ENTRIES];
#pragma GCC visibility pop

/* True: the next function is known, and all that there is to do. */
static inline bool waits_are_off(void)
{
	const uint32_t *word = __atomic_load_n(&waits_word, __ATOMIC_ACQUIRE);

	return likely(word != NULL) && likely(__atomic_load_n(word, __ATOMIC_RELAXED) == 0);
}

/* True: the next functions are known. */
static inline bool waits_are_ready(void)
{
	return likely(__atomic_load_n(&waits_word, __ATOMIC_ACQUIRE) != NULL);
}

static inline uint64_t waits_hash(const void *lock)
{
	return ((uint64_t)lock >> 3) * 0x9e3779b97f4a7c15ULL;
}

/* False: nobody waits for the lock, as far as is known. */
static inline bool waits_any(const void *lock)
{
	const struct waits_entry *e = &waits_entries[(waits_hash(lock) >> 32) % WAITS_ENTRIES];

	return unlikely(__atomic_load_n(&e->word, __ATOMIC_RELAXED) != 0);
}

/* The exported function @name: that, or its cold half, which knows more cases. */
#define WAITS_HOOK(name, parameters, arguments)                                                    \
	__attribute__((visibility("default"))) int name parameters                                 \
	{                                                                                          \
		if (likely(waits_are_off()))                                                       \
			return waits_next.name arguments;                                          \
		return cold_##name arguments;                                                      \
	}

/* The next function of the name, where it may not be known yet. */
#define WAITS_NEXT(name)                                                                           \
	(*(__typeof__(&waits_next.name))waits_find((void **)&waits_next.name, #name))

/* Where the next function @name is kept, and looked up if it is not. A function that
 * the C library does not have is one that fails with ENOSYS. */
void **waits_find(void **next, const char *name);

/* Looks up all next functions: at our start if waits are measured from then on, or
 * before a program's first thread, or when it has called some of them often. Until then
 * each is looked up when it is called, which is no danger in a program of one thread,
 * though the loader's lock is taken; and most such programs never pay for it. */
void waits_init(void);

/* From the environment, at our start. */
void waits_begin(uint64_t block_rate_ns, uint64_t mutex_fraction);

/* In a fork's child that has its table: it is not asked for what its parent is, and
 * its parent's threads wait for nothing here. */
void waits_after_fork(void);

/* ---- measuring */

/* True: what follows is to be measured. */
bool waits_are_measured(void);

struct wait {
	uint64_t start_ns;
	const void *lock; /* NULL: none whose holder is to be charged */
	struct _pthread_cleanup_buffer cleanup;
};

/*
 * Around a call that waits. @lock: what it waits for, if that has a holder who says
 * so by waits_release(); else NULL. A thread that is cancelled in between, ends or
 * jumps out, leaves nothing behind. Both keep errno.
 */
void waits_start(struct wait *w, const void *lock);
void waits_end(struct wait *w);

/* Before a holder releases @lock, as long as it holds it: true if others wait for it,
 * and *ret_ns is how long they have in all, which waits_charge() records for the
 * caller's stack. */
bool waits_release(const void *lock, uint64_t *ret_ns);
void waits_charge(uint64_t ns);

/* A call that waits, measured. */
#define WAITS_MEASURE(lock, call)                                                                  \
	({                                                                                         \
		struct wait _wait;                                                                 \
		int _result;                                                                       \
		waits_start(&_wait, lock);                                                         \
		_result = (call);                                                                  \
		waits_end(&_wait);                                                                 \
		_result;                                                                           \
	})
