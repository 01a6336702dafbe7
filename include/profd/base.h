/*
 * Small things that every room uses: cleanup attributes, ownership transfer,
 * bounds. Nothing here allocates, logs or keeps state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Run @f on the variable's address when it leaves its scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void profd_freep(void *p)
{
	free(*(void **)p);
}

static inline void profd_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(profd_freep)
#define _cleanup_close_ _cleanup_(profd_closep)

/* Give a cleanup variable's value away: the caller owns it from here on. */
#define take_ptr(p)                         \
	({                                  \
		__typeof__(&(p)) _pp = &(p); \
		__typeof__(p) _v = *_pp;    \
		*_pp = NULL;                \
		_v;                         \
	})

static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define min(a, b)                           \
	({                                  \
		__typeof__(a) _a = (a);     \
		__typeof__(b) _b = (b);     \
		_a < _b ? _a : _b;          \
	})

#define max(a, b)                           \
	({                                  \
		__typeof__(a) _a = (a);     \
		__typeof__(b) _b = (b);     \
		_a > _b ? _a : _b;          \
	})

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t clock_cpu_ns(void) /* that this thread has had */
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline int64_t clock_unix_ns(void)
{
	return (int64_t)clock_ns(CLOCK_REALTIME);
}
