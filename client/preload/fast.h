/*
 * The fast path, inline: what every allocation and every free pays.
 *
 * An allocation subtracts its size from the thread's countdown. The comparison
 * comes first and is unsigned, so a size that could never be satisfied (-1)
 * takes the slow path instead of winding the countdown up. It starts at 0, so
 * a thread's first allocation is slow, and seeds the thread there.
 *
 * A free looks at one byte: how many sampled objects lie in the 256 bytes that it
 * stands for, and in others 16 MiB apart. So the bytes that a program's heap makes
 * use of are few, and stay in the nearest cache. Bytes that reach 255 stay, as the
 * count is lost then.
 *
 * fast_next.* are NULL until they have been looked up. They are asked for before
 * the countdown, because thread-local storage is reached through a relocation,
 * and an early caller (an IFUNC resolver of another library) can come before
 * ours are made; what is hidden and in .bss needs none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profd/base.h"

struct fast_thread {
	uint64_t countdown; /* bytes until the next sample */
	uint64_t random;    /* 0: not seeded */
	bool own;	    /* what is allocated is ours, and comes out of the arena */
};

/* The next allocator's functions, in the order of symbol resolution. */
struct fast_next {
	void *(*malloc)(size_t size);
	void (*free)(void *p);
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *p, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	int (*posix_memalign)(void **ret, size_t alignment, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	void *(*valloc)(size_t size);
	void *(*pvalloc)(size_t size);
};

#define FAST_FILTER_SLOTS 65536
#define FAST_FILTER_STUCK 255

#define FAST_COLD __attribute__((noinline, cold))

#pragma GCC visibility push(hidden)
extern __thread struct fast_thread fast_thread __attribute__((tls_model("initial-exec")));
extern struct fast_next fast_next;
extern uint8_t fast_filter[FAST_FILTER_SLOTS];
#pragma GCC visibility pop

static inline size_t fast_filter_slot(const void *p)
{
	return ((uint64_t)p >> 8) % FAST_FILTER_SLOTS;
}

/* One instruction, where the compiler would load the byte first. */
static inline bool fast_maybe_sampled(const void *p)
{
	bool found;

	__asm__ volatile("cmpb $0, %1" : "=@ccne"(found) : "m"(fast_filter[fast_filter_slot(p)]));
	return unlikely(found);
}

/* True: the allocation is not a sample, and has been counted. The difference is the
 * comparison. What has expired is not stored: a signal handler that leaves by
 * siglongjmp must not leave a countdown behind that has gone below 0. */
static inline bool fast_skip(uint64_t size)
{
	uint64_t left = fast_thread.countdown;
	bool expired;

	__asm__("subq %2, %0" : "+r"(left), "=@ccbe"(expired) : "r"(size));
	if (unlikely(expired))
		return false;
	fast_thread.countdown = left;
	return true;
}
