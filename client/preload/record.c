#include "client/preload/record.h"

#include "client/preload/fast.h"
#include "client/preload/intern.h"
#include "client/preload/session.h"

void record_take(enum heap_kind kind, uint64_t count, uint64_t ns, const uint64_t *regs)
{
	uint32_t stack, index = INTERN_NONE;
	struct heap_bucket *bucket;

	if (unlikely(!session_is_recording()))
		return;
	stack = intern_stack_of(kind, regs);
	if (stack != INTERN_NONE)
		index = intern_bucket(stack, 0);
	if (index == INTERN_NONE) {
		session_count_lost(HEAP_LOST_WAITS);
		return;
	}
	bucket = &session.buckets[index];
	__atomic_fetch_add(&bucket->alloc_objects, count, __ATOMIC_RELAXED);
	__atomic_fetch_add(&bucket->alloc_bytes, ns, __ATOMIC_RELAXED);
}
