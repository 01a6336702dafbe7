#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/preload/live.c"
#include "client/preload/weight.c"
#include "client/preload/session.h"

#define GENERATIONS 3
#define SLOTS	    (1024 + 4096 + 16384)

struct session session;

static int setup(void **state)
{
	memset(&session, 0, sizeof(session));
	memset(fast_filter, 0, sizeof(fast_filter));
	session.table = calloc(1, sizeof(*session.table));
	session.n_generations = GENERATIONS;
	session.keys = calloc(SLOTS, sizeof(uint64_t));
	session.shared_keys = calloc(SLOTS, sizeof(uint64_t));
	session.live = calloc(SLOTS, sizeof(struct heap_live));
	session.buckets = calloc(4, sizeof(struct heap_bucket));
	session.capacity[HEAP_REGION_BUCKETS] = 4;
	return 0;
}

static int teardown(void **state)
{
	free(session.table);
	free(session.keys);
	free(session.shared_keys);
	free(session.live);
	free(session.buckets);
	return 0;
}

static void *address(uint64_t i)
{
	return (void *)(0x7f0000000000ULL + i * 48);
}

static uint32_t add(void *p, uint64_t size, uint32_t bucket)
{
	struct heap_live value = {.size = size, .objects = 65536, .bucket = bucket};
	uint32_t slot = live_claim(p);

	if (slot != LIVE_NONE)
		live_publish(slot, p, &value);
	return slot;
}

static void test_what_was_added_is_found_once(void **state)
{
	uint32_t slot = add(address(1), 100, 2);

	assert_true(fast_maybe_sampled(address(1)));
	assert_int_equal(live_take(address(2)), LIVE_NONE);
	assert_int_equal(live_take(address(1)), slot);
	assert_int_equal(live_take(address(1)), LIVE_NONE); /* a double free */
	live_drop(slot);
	assert_int_equal(live_take(address(1)), LIVE_NONE);
	assert_false(fast_maybe_sampled(address(1)));
	assert_int_equal(session.buckets[2].free_objects, 65536);
	assert_int_equal(session.buckets[2].free_bytes, 100 << HEAP_BYTE_SHIFT);
	assert_int_equal(session.keys[slot], 0);
	assert_int_equal(session.shared_keys[slot], 0);
}

/* Their bits are those of a free and of a claimed slot's key. */
static void test_null_is_never_live(void **state)
{
	add(address(1), 100, 2);
	live_claim(address(2));
	for (int i = 0; i < FAST_FILTER_SLOTS; i++)
		fast_filter[i] = 1;
	assert_int_equal(live_take(NULL), LIVE_NONE);
	assert_int_equal(live_take((void *)LIVE_CLAIMED), LIVE_NONE);
}

static void test_restored_object_is_live_again(void **state)
{
	uint32_t slot = add(address(1), 100, 2);

	assert_int_equal(live_take(address(1)), slot);
	live_restore(slot, address(1));
	assert_true(fast_maybe_sampled(address(1)));
	assert_int_equal(live_take(address(1)), slot);
	assert_int_equal(session.buckets[2].free_objects, 0);
}

static void test_released_slot_is_free(void **state)
{
	uint32_t slot = live_claim(address(5));

	assert_int_equal(live_take(address(5)), LIVE_NONE);
	live_release(slot);
	assert_int_equal(live_claim(address(5)), slot);
}

static void test_generations_fill_one_after_the_other(void **state)
{
	uint32_t added = 0, taken = 0;

	assert_int_equal(live_used_slots(), 0);
	for (uint32_t i = 0; i < SLOTS * 2; i++)
		added += add(address(i), 1, 0) != LIVE_NONE;
	assert_int_equal(live_used_slots(), SLOTS);
	assert_int_equal(session.table->regions[HEAP_REGION_KEYS].used, SLOTS);
	assert_true(added > SLOTS / 10 * 9);
	for (uint32_t i = 0; i < SLOTS * 2; i++) {
		uint32_t slot = live_take(address(i));

		if (slot == LIVE_NONE)
			continue;
		live_drop(slot);
		taken++;
	}
	assert_int_equal(taken, added);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		assert_int_equal(session.keys[slot], 0);
	assert_int_equal(session.buckets[0].free_objects, (uint64_t)added << HEAP_OBJECT_SHIFT);
}

static void test_few_objects_stay_in_the_first_generation(void **state)
{
	for (uint32_t i = 0; i < 100; i++)
		assert_true(add(address(i * 7), 1, 0) < 1024);
	assert_int_equal(live_used_slots(), 1024);
}

static void test_filter_counts_and_sticks(void **state)
{
	void *p = address(3);

	for (int i = 0; i < 254; i++)
		filter_add(p);
	for (int i = 0; i < 254; i++)
		filter_remove(p);
	assert_false(fast_maybe_sampled(p));
	for (int i = 0; i < 300; i++)
		filter_add(p);
	for (int i = 0; i < 300; i++)
		filter_remove(p);
	assert_true(fast_maybe_sampled(p));
}

static void test_foreign_bucket_is_not_touched(void **state)
{
	uint32_t slot = add(address(1), 100, 2);

	session.live[slot].bucket = 1000000;
	assert_int_equal(live_take(address(1)), slot);
	live_drop(slot);
	assert_int_equal(session.keys[slot], 0);
}

/* Threads hand addresses to one another: each is added and taken exactly once. */
static void *churn(void *start)
{
	for (int round = 0; round < 200; round++)
		for (uint64_t i = 0; i < 100; i++) {
			uint32_t slot = add(address((uint64_t)start + i), 10, 1);

			if (slot == LIVE_NONE || live_take(address((uint64_t)start + i)) != slot)
				return start;
			live_drop(slot);
		}
	return NULL;
}

static void test_threads_do_not_disturb_each_other(void **state)
{
	pthread_t threads[4];
	void *failed;

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, (void *)((i + 1) * 1000));
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(session.buckets[1].free_objects, 4ULL * 200 * 100 << HEAP_OBJECT_SHIFT);
	for (int i = 0; i < FAST_FILTER_SLOTS; i++)
		assert_int_equal(fast_filter[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_was_added_is_found_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_null_is_never_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restored_object_is_live_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_released_slot_is_free, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations_fill_one_after_the_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_few_objects_stay_in_the_first_generation,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_filter_counts_and_sticks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_bucket_is_not_touched, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_threads_do_not_disturb_each_other, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("preload-live", tests, NULL, NULL);
}
