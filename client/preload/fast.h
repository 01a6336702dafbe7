/*
 * The fast path, inline: what every allocation and every free pays.
 *
 * An allocation subtracts its size from the thread's countdown. The comparison
 * comes first and is unsigned, so a size that could never be satisfied (-1)
 * takes the slow path instead of winding the countdown up. It starts at 0, so
 * a thread's first allocation is slow, and seeds the thread there.
 *
 * A free looks at one byte: how many sampled objects have an address that falls
 * on it. Bytes that reach 255 stay, as the count is lost then.
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

extern __thread struct fast_thread fast_thread __attribute__((tls_model("initial-exec")));
extern struct fast_next fast_next;
extern uint8_t fast_filter[FAST_FILTER_SLOTS];

static inline size_t fast_filter_slot(const void *p)
{
	uint64_t at = (uint64_t)p;

	return (at >> 4 ^ at >> 20) % FAST_FILTER_SLOTS;
}

static inline bool fast_maybe_sampled(const void *p)
{
	return unlikely(__atomic_load_n(&fast_filter[fast_filter_slot(p)], __ATOMIC_RELAXED) != 0);
}

/* True: the allocation is not a sample, and has been counted. */
static inline bool fast_skip(uint64_t size)
{
	struct fast_thread *t = &fast_thread;

	if (unlikely(size >= t->countdown))
		return false;
	t->countdown -= size;
	return true;
}
