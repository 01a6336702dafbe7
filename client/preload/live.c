/*
 * Tables of growing size, each a set of lines of eight slots; an address has
 * one line in each table. An object goes into the first table that has room
 * in its line, so few objects mean few cache lines to look at, and growing
 * means to begin the next table, never to move anything.
 *
 * The keys that hold are in private memory and the shared ones are a copy: a
 * forked child inherits its own keys as they were at the fork, while the
 * parent goes on changing the shared table. Which objects the child has is thus
 * exact.
 */
#include "client/preload/live.h"

#include "client/preload/fast.h"
#include "client/preload/session.h"
#include "client/preload/weight.h"

uint8_t fast_filter[FAST_FILTER_SLOTS];

static uint32_t first_slot(unsigned generation)
{
	uint32_t first = 0;

	for (unsigned g = 0; g < generation; g++)
		first += HEAP_GENERATION_SLOTS(g);
	return first;
}

uint32_t live_used_slots(void)
{
	return first_slot(__atomic_load_n(&session.used_generations, __ATOMIC_ACQUIRE));
}

static uint32_t line_of(uint64_t hash, unsigned generation)
{
	uint32_t lines = HEAP_GENERATION_SLOTS(generation) / HEAP_LINE_SLOTS;

	return (uint32_t)(hash % lines) * HEAP_LINE_SLOTS;
}

static void raise_to(uint32_t *word, uint32_t least)
{
	uint32_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

	while (now < least && !__atomic_compare_exchange_n(word, &now, least, true,
							   __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* The first @n generations are in use: a free has to look there, and a reader. */
static void use_generations(uint32_t n)
{
	if (__atomic_load_n(&session.used_generations, __ATOMIC_RELAXED) >= n)
		return;
	raise_to(&session.table->regions[HEAP_REGION_LIVE].used, first_slot(n));
	raise_to(&session.table->regions[HEAP_REGION_KEYS].used, first_slot(n));
	raise_to(&session.used_generations, n);
}

uint32_t live_claim(const void *p)
{
	uint64_t hash = weight_mix((uint64_t)p);
	uint32_t first = 0;

	for (unsigned g = 0; g < session.n_generations; g++) {
		uint32_t line = first + line_of(hash, g);

		for (uint32_t slot = line; slot < line + HEAP_LINE_SLOTS; slot++) {
			uint64_t free_key = 0;

			if (__atomic_load_n(&session.keys[slot], __ATOMIC_RELAXED) != 0 ||
			    !__atomic_compare_exchange_n(&session.keys[slot], &free_key,
							 LIVE_CLAIMED, false, __ATOMIC_ACQUIRE,
							 __ATOMIC_RELAXED))
				continue;
			use_generations(g + 1);
			return slot;
		}
		first += HEAP_GENERATION_SLOTS(g);
	}
	return LIVE_NONE;
}

void live_release(uint32_t slot)
{
	__atomic_store_n(&session.keys[slot], 0, __ATOMIC_RELEASE);
}

static void filter_add(const void *p)
{
	uint8_t *count = &fast_filter[fast_filter_slot(p)];
	uint8_t now = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (now != FAST_FILTER_STUCK &&
	       !__atomic_compare_exchange_n(count, &now, now + 1, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static void filter_remove(const void *p)
{
	uint8_t *count = &fast_filter[fast_filter_slot(p)];
	uint8_t now = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (now != FAST_FILTER_STUCK && now != 0 &&
	       !__atomic_compare_exchange_n(count, &now, now - 1, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

void live_publish(uint32_t slot, void *p, const struct heap_live *value)
{
	session.live[slot] = *value;
	filter_add(p);
	__atomic_store_n(&session.shared_keys[slot], (uint64_t)p, __ATOMIC_RELEASE);
	__atomic_store_n(&session.keys[slot], (uint64_t)p, __ATOMIC_RELEASE);
}

uint32_t live_take(const void *p)
{
	uint32_t used = __atomic_load_n(&session.used_generations, __ATOMIC_ACQUIRE);
	uint64_t hash = weight_mix((uint64_t)p);
	uint32_t first = 0;

	if ((uint64_t)p <= LIVE_CLAIMED) /* free(NULL) is no free slot's */
		return LIVE_NONE;
	for (unsigned g = 0; g < used; g++) {
		uint32_t line = first + line_of(hash, g);

		for (uint32_t slot = line; slot < line + HEAP_LINE_SLOTS; slot++) {
			uint64_t key = (uint64_t)p;

			if (__atomic_load_n(&session.keys[slot], __ATOMIC_RELAXED) == key &&
			    __atomic_compare_exchange_n(&session.keys[slot], &key, LIVE_CLAIMED,
							false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return slot;
		}
		first += HEAP_GENERATION_SLOTS(g);
	}
	return LIVE_NONE;
}

void live_drop(uint32_t slot)
{
	struct heap_live value = session.live[slot];
	void *p = (void *)session.shared_keys[slot];
	struct heap_bucket *bucket = &session.buckets[value.bucket];

	if (value.bucket < session.capacity[HEAP_REGION_BUCKETS]) {
		__atomic_fetch_add(&bucket->free_objects, value.objects, __ATOMIC_RELAXED);
		__atomic_fetch_add(&bucket->free_bytes, weight_bytes(value.size, value.objects),
				   __ATOMIC_RELAXED);
	}
	filter_remove(p);
	__atomic_store_n(&session.shared_keys[slot], 0, __ATOMIC_RELEASE);
	__atomic_store_n(&session.keys[slot], 0, __ATOMIC_RELEASE);
}

void live_restore(uint32_t slot, const void *p)
{
	__atomic_store_n(&session.keys[slot], (uint64_t)p, __ATOMIC_RELEASE);
}
