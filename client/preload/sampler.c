/*
 * From an expired countdown to a record in the table.
 *
 * The interval is drawn anew at each sample and what was left of the last one
 * is dropped: the distribution has no memory, so this is not a bias but what
 * makes each allocation's chance depend on its own size alone.
 *
 * Order matters, for the process may be killed at any point and profd reads at
 * any time: a place for the live object first (without one nothing is counted,
 * as its free could never be), then the sums, then the live value, the filter,
 * and the key, which is what a free looks for.
 *
 * Nothing guards against being entered from a signal handler in the middle of
 * itself, because nothing needs to: all state is either on the stack or is
 * changed by single atomic operations, so a nested sample is taken like any
 * other, and a handler that leaves by siglongjmp leaves nothing behind that
 * could be stuck.
 */
#include "client/preload/sampler.h"

#include <time.h>

#include "client/preload/fast.h"
#include "client/preload/intern.h"
#include "client/preload/live.h"
#include "client/preload/session.h"
#include "client/preload/weight.h"

__thread struct fast_thread fast_thread;

static uint32_t birth_ms(void)
{
	struct timespec now;

	if (!session.has_clock || clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0)
		return 0;
	return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 -
			  session.table->start_mono_ms);
}

/* The sums, the live value, the key. */
static __attribute__((noinline)) void commit(uint32_t slot, void *p, uint64_t size, uint32_t index)
{
	struct heap_bucket *bucket = &session.buckets[index];
	struct heap_live value = {
		.size = size,
		.objects = weight_objects(size, session.rate_bytes),
		.bucket = index,
		.birth_ms = birth_ms(),
	};

	__atomic_fetch_add(&bucket->alloc_objects, value.objects, __ATOMIC_RELAXED);
	__atomic_fetch_add(&bucket->alloc_bytes, weight_bytes(size, value.objects),
			   __ATOMIC_RELAXED);
	live_publish(slot, p, &value);
	__atomic_fetch_add(&session.table->samples, 1, __ATOMIC_RELAXED);
}

/* The bucket of the calling thread's stack, or INTERN_NONE. */
static uint32_t find_bucket(uint64_t size, const uint64_t *regs)
{
	uint32_t stack = intern_stack(regs);

	return stack == INTERN_NONE ? INTERN_NONE : intern_bucket(stack, weight_class(size));
}

/* What is still recorded at the address of a new object was freed past us, by a
 * library that is bound to the next allocator directly. */
static __attribute__((noinline)) void forget_stale(const void *p)
{
	uint32_t slot = live_take(p);

	if (slot != LIVE_NONE)
		live_drop(slot);
}

/* These are kept apart for their stack frames' sake: the walk, which is what goes
 * deep, then carries no more than it has to. */
static __attribute__((noinline)) void record(void *p, uint64_t size, const uint64_t *regs)
{
	uint32_t slot, bucket;

	if (fast_maybe_sampled(p))
		forget_stale(p);
	slot = live_claim(p);
	if (slot == LIVE_NONE) {
		session_count_lost(HEAP_LOST_LIVE);
		return;
	}
	bucket = find_bucket(size, regs);
	if (bucket == INTERN_NONE) {
		live_release(slot);
		session_count_lost(HEAP_LOST_STACKS);
		return;
	}
	commit(slot, p, size, bucket);
}

/* Without a system call: the thread's address and a count tell threads apart. */
static void seed_thread(struct fast_thread *t)
{
	static uint64_t threads;

	t->random = weight_mix(session.seed + weight_mix((uint64_t)t) +
			       __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED));
	if (t->random == 0)
		t->random = 1;
	t->countdown = weight_draw(&t->random, session.rate_bytes);
}

/* No sample can be taken here. If that is for good, never come back. */
static void pass(struct fast_thread *t)
{
	if (__atomic_load_n(&session.state, __ATOMIC_RELAXED) == SESSION_OFF)
		t->countdown = UINT64_MAX;
}

void sampler_take(void *p, size_t size, const uint64_t *regs)
{
	struct fast_thread *t = &fast_thread;

	if (!p || fast_skip(size))
		return;
	if (unlikely(__atomic_load_n(&session.state, __ATOMIC_RELAXED) == SESSION_NEW))
		session_begin();
	if (unlikely(!session_is_recording())) {
		pass(t);
		return;
	}
	if (unlikely(t->random == 0)) {
		seed_thread(t);
		if (fast_skip(size))
			return;
	}
	t->countdown = weight_draw(&t->random, session.rate_bytes);
	record(p, size, regs);
}
