/*
 * A stack is known by the 64-bit hash of its frames. It is walked once for its
 * hash alone, with nothing stored anywhere; only a stack that is not known yet
 * is walked a second time, straight into the frames region. So no buffer is
 * needed, neither on the thread's stack, which may be small, nor in a pool,
 * from which a siglongjmp could leak it. Two different stacks share a record by
 * chance once in 2^64 pairs.
 *
 * The hash tables that lead to the records are in private memory: open
 * addressing, twice as many places as records, a place is set once by a
 * compare-and-swap and never changed. When two threads add the same record at
 * the same time one of them loses its copy, which no place then leads to.
 */
#include "client/preload/intern.h"

#include <stdbool.h>

#include "client/preload/fast.h"
#include "client/preload/labels.h"
#include "client/preload/session.h"
#include "client/preload/table.h"
#include "client/preload/walk.h"
#include "client/preload/weight.h"

#define MAX_PROBES 512

/* The new stack's record, whose frames are there, or INTERN_NONE. */
static FAST_COLD uint32_t add_stack(const struct walk_summary *seen, uint32_t frames,
				    enum heap_kind kind, uint32_t labels)
{
	uint32_t index = table_take(HEAP_REGION_STACKS, 1);
	struct heap_stack *stack;

	if (index == TABLE_FULL)
		return INTERN_NONE;
	stack = &session.stacks[index];
	stack->frames_index = frames;
	stack->n_frames = seen->n_frames;
	stack->kind = (uint8_t)kind;
	stack->flags = seen->flags;
	stack->labels = labels;
	stack->hash = seen->hash;
	__atomic_store_n(&stack->ready, 1, __ATOMIC_RELEASE);
	return index;
}

/* Finds the stack, or makes @added its record if that is one. */
static __attribute__((noinline)) uint32_t find_stack(uint64_t hash, uint32_t added)
{
	uint32_t mask = session.capacity[HEAP_REGION_STACKS] * 2 - 1;

	for (uint32_t i = 0; i < MAX_PROBES; i++) {
		uint32_t *place = &session.stack_index[(hash + i) & mask];
		uint32_t found = __atomic_load_n(place, __ATOMIC_ACQUIRE);

		if (found == 0) {
			if (added == INTERN_NONE ||
			    __atomic_compare_exchange_n(place, &found, added + 1, false,
							__ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
				return added;
		}
		if (session.stacks[found - 1].hash == hash)
			return found - 1;
	}
	return INTERN_NONE;
}

/* The same frames of another kind, or under other labels, are another stack. */
static inline uint64_t hash_of(const struct walk_summary *seen, enum heap_kind kind,
			       uint32_t labels)
{
	uint64_t tag = kind | (uint64_t)labels << 8;

	return tag ? weight_mix(seen->hash ^ tag) : seen->hash;
}

/* Both walks are made from here, where little else is on the stack. */
uint32_t intern_stack(const uint64_t *regs)
{
	uint32_t index, frames, labels = labels_current();
	struct walk_summary seen, again;

	walk_stack(regs, NULL, 0, &seen);
	seen.hash = hash_of(&seen, HEAP_KIND_HEAP, labels);
	index = find_stack(seen.hash, INTERN_NONE);
	if (likely(index != INTERN_NONE))
		return index;
	if (table_is_full(HEAP_REGION_STACKS)) /* no frames are wasted on it */
		return INTERN_NONE;
	frames = table_take(HEAP_REGION_FRAMES, seen.n_frames);
	if (frames == TABLE_FULL)
		return INTERN_NONE;
	walk_stack(regs, &session.frames[frames], seen.n_frames, &again);
	if (hash_of(&again, HEAP_KIND_HEAP, labels) != seen.hash)
		return INTERN_NONE;
	index = add_stack(&seen, frames, HEAP_KIND_HEAP, labels);
	return index == INTERN_NONE ? INTERN_NONE : find_stack(seen.hash, index);
}

/* What is not the heap's may not crowd that out: of interrupted instructions there are
 * many, and each is another stack. */
static bool may_add(void)
{
	return table_has_room(HEAP_REGION_STACKS) && table_has_room(HEAP_REGION_FRAMES) &&
	       table_has_room(HEAP_REGION_BUCKETS);
}

uint32_t intern_stack_of(enum heap_kind kind, const uint64_t *regs)
{
	struct walk_summary seen, again;
	uint32_t index, frames;

	walk_stack(regs, NULL, 0, &seen);
	seen.hash = hash_of(&seen, kind, 0);
	index = find_stack(seen.hash, INTERN_NONE);
	if (likely(index != INTERN_NONE))
		return index;
	if (!may_add())
		return INTERN_NONE;
	frames = table_take(HEAP_REGION_FRAMES, seen.n_frames);
	if (frames == TABLE_FULL)
		return INTERN_NONE;
	walk_stack(regs, &session.frames[frames], seen.n_frames, &again);
	if (hash_of(&again, kind, 0) != seen.hash)
		return INTERN_NONE;
	index = add_stack(&seen, frames, kind, 0);
	return index == INTERN_NONE ? INTERN_NONE : find_stack(seen.hash, index);
}

static FAST_COLD uint32_t add_interrupted(const void *context, uint64_t hash, uint32_t n_frames,
					  uint32_t labels)
{
	struct walk_summary again;
	uint32_t index, frames;

	if (!may_add())
		return INTERN_NONE;
	frames = table_take(HEAP_REGION_FRAMES, n_frames);
	if (frames == TABLE_FULL)
		return INTERN_NONE;
	again = walk_interrupted(context, &session.frames[frames], n_frames);
	again.hash = hash_of(&again, HEAP_KIND_CPU, labels);
	if (again.hash != hash)
		return INTERN_NONE;
	index = add_stack(&again, frames, HEAP_KIND_CPU, labels);
	return index == INTERN_NONE ? INTERN_NONE : find_stack(hash, index);
}

uint32_t intern_interrupted(const void *context)
{
	struct walk_summary seen = walk_interrupted(context, NULL, 0);
	uint32_t labels = labels_current();
	uint64_t hash = hash_of(&seen, HEAP_KIND_CPU, labels);
	uint32_t index = find_stack(hash, INTERN_NONE);

	if (likely(index != INTERN_NONE))
		return index;
	return add_interrupted(context, hash, seen.n_frames, labels);
}

static FAST_COLD uint32_t add_bucket(uint32_t stack, uint64_t size_class)
{
	uint32_t index = table_take(HEAP_REGION_BUCKETS, 1);
	struct heap_bucket *bucket;

	if (index == TABLE_FULL)
		return INTERN_NONE;
	bucket = &session.buckets[index];
	bucket->stack = stack;
	bucket->size_class = size_class;
	__atomic_store_n(&bucket->ready, 1, __ATOMIC_RELEASE);
	return index;
}

uint32_t intern_bucket(uint32_t stack, uint64_t size_class)
{
	uint32_t mask = session.capacity[HEAP_REGION_BUCKETS] * 2 - 1;
	uint64_t hash = weight_mix(size_class + ((uint64_t)stack << 40));
	uint32_t added = INTERN_NONE;

	for (uint32_t i = 0; i < MAX_PROBES; i++) {
		uint32_t *place = &session.bucket_index[(hash + i) & mask];
		uint32_t found = __atomic_load_n(place, __ATOMIC_ACQUIRE);

		if (found == 0) {
			if (added == INTERN_NONE)
				added = add_bucket(stack, size_class);
			if (added == INTERN_NONE)
				return INTERN_NONE;
			if (__atomic_compare_exchange_n(place, &found, added + 1, false,
							__ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
				return added;
		}
		if (session.buckets[found - 1].stack == stack &&
		    session.buckets[found - 1].size_class == size_class)
			return found - 1;
	}
	return INTERN_NONE;
}
