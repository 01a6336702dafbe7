/*
 * The interposed functions, and nothing else: each is the fast path inline and
 * a cold half that knows how the next allocator's function is called. C++'s are
 * in operators.c.
 *
 * A free is recorded before the real one: afterwards the address may belong to
 * another thread. A realloc takes the old object out of the table for its
 * duration; should it fail, the object is put back as it was.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "client/preload/early.h"
#include "client/preload/fast.h"
#include "client/preload/live.h"
#include "client/preload/sampler.h"
#include "client/preload/session.h"

#define EXPORT __attribute__((visibility("default")))

static FAST_COLD void *cold_malloc(size_t size)
{
	void *p;

	if (!early_next_is_ready())
		return early_alloc(size, 0);
	p = fast_next.malloc(size);
	sampler_note(p, size);
	return p;
}

EXPORT void *malloc(size_t size)
{
	void *(*next)(size_t) = fast_next.malloc;

	if (likely(next != NULL) && likely(fast_skip(size)))
		return next(size);
	return cold_malloc(size);
}

static FAST_COLD void cold_free(void *p)
{
	size_t bytes;
	uint32_t slot;

	if (early_owns(p, &bytes) || !early_next_is_ready())
		return;
	if (session_is_recording()) {
		slot = live_take(p);
		if (slot != LIVE_NONE)
			live_drop(slot);
	}
	fast_next.free(p);
}

EXPORT void free(void *p)
{
	void (*next)(void *) = fast_next.free;

	if (likely(next != NULL) && !fast_maybe_sampled(p)) {
		next(p);
		return;
	}
	cold_free(p);
}

static FAST_COLD void *cold_calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		bytes = SIZE_MAX;
	if (!early_next_is_ready())
		return early_alloc(bytes, 0);
	if (unlikely(fast_thread.own)) {
		p = early_alloc(bytes, 0);
		return p ? p : fast_next.calloc(n, size);
	}
	p = fast_next.calloc(n, size);
	sampler_note(p, bytes);
	return p;
}

EXPORT void *calloc(size_t n, size_t size)
{
	void *(*next)(size_t, size_t) = fast_next.calloc;
	size_t bytes;

	if (likely(next != NULL) && likely(!__builtin_mul_overflow(n, size, &bytes)) &&
	    likely(fast_skip(bytes)))
		return next(n, size);
	return cold_calloc(n, size);
}

/* Until we have been relocated no function of another object can be called, nor
 * an exported one of ours: memcpy, and what the compiler makes one of, included. */
static void *early_realloc(void *p, size_t old_bytes, size_t size)
{
	void *moved = early_next_is_ready() ? malloc(size) : early_alloc(size, 0);
	volatile uint8_t *to = moved;
	const uint8_t *from = p;

	for (size_t i = 0; moved && i < old_bytes && i < size; i++)
		to[i] = from[i];
	return moved;
}

/* A size of 0 frees, in the C library; NULL is then no failure. */
static FAST_COLD void *cold_realloc(void *p, size_t size)
{
	uint32_t slot = LIVE_NONE;
	size_t bytes;
	void *moved;

	if (early_owns(p, &bytes))
		return early_realloc(p, bytes, size);
	if (!early_next_is_ready())
		return p ? NULL : early_alloc(size, 0);
	if (session_is_recording() && fast_maybe_sampled(p))
		slot = live_take(p);
	moved = fast_next.realloc(p, size);
	if (slot != LIVE_NONE) {
		if (moved || size == 0)
			live_drop(slot);
		else
			live_restore(slot, p);
	}
	sampler_note(moved, size);
	return moved;
}

EXPORT void *realloc(void *p, size_t size)
{
	void *(*next)(void *, size_t) = fast_next.realloc;

	if (likely(next != NULL) && !fast_maybe_sampled(p) && likely(fast_skip(size)))
		return next(p, size);
	return cold_realloc(p, size);
}

/* The C library's calls realloc through the symbol and would be counted twice. */
EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

static FAST_COLD void *cold_memalign(size_t alignment, size_t size)
{
	void *p;

	if (!early_next_is_ready())
		return early_alloc(size, alignment);
	p = fast_next.memalign(alignment, size);
	sampler_note(p, size);
	return p;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	void *(*next)(size_t, size_t) = fast_next.memalign;

	if (likely(next != NULL) && likely(fast_skip(size)))
		return next(alignment, size);
	return cold_memalign(alignment, size);
}

static FAST_COLD void *cold_aligned_alloc(size_t alignment, size_t size)
{
	void *p;

	if (!early_next_is_ready())
		return early_alloc(size, alignment);
	p = fast_next.aligned_alloc(alignment, size);
	sampler_note(p, size);
	return p;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	void *(*next)(size_t, size_t) = fast_next.aligned_alloc;

	if (likely(next != NULL) && likely(fast_skip(size)))
		return next(alignment, size);
	return cold_aligned_alloc(alignment, size);
}

static FAST_COLD int cold_posix_memalign(void **ret_p, size_t alignment, size_t size)
{
	void *p;
	int r;

	if (!early_next_is_ready()) {
		p = early_alloc(size, alignment);
		if (!p)
			return ENOMEM;
		*ret_p = p;
		return 0;
	}
	r = fast_next.posix_memalign(ret_p, alignment, size);
	if (r == 0)
		sampler_note(*ret_p, size);
	return r;
}

EXPORT int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
	int (*next)(void **, size_t, size_t) = fast_next.posix_memalign;

	if (likely(next != NULL) && likely(fast_skip(size)))
		return next(ret_p, alignment, size);
	return cold_posix_memalign(ret_p, alignment, size);
}

/* These two are rare, and have no fast path of their own. */
static void *page_alloc(void *(*next)(size_t), size_t size)
{
	void *p = next(size);

	sampler_note(p, size);
	return p;
}

EXPORT void *valloc(size_t size)
{
	if (!early_next_is_ready())
		return early_alloc(size, 4096);
	return page_alloc(fast_next.valloc, size);
}

EXPORT void *pvalloc(size_t size)
{
	if (!early_next_is_ready())
		return early_alloc((size + 4095) & ~(size_t)4095, 4096);
	return page_alloc(fast_next.pvalloc, size);
}
