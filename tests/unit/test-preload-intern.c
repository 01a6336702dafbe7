#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/preload/intern.c"
#include "client/preload/weight.c"

#define STACKS	64
#define BUCKETS 64
#define FRAMES	256

struct session session;
__thread struct labels_thread labels_thread;

/* The stack that the next walk finds. */
static __thread uint64_t walked[4];
static __thread uint16_t n_walked;

void walk_stack(const uint64_t *regs, uint64_t *ret_frames, uint32_t capacity,
		struct walk_summary *ret_summary)
{
	uint64_t hash = 1;

	for (uint32_t i = 0; i < n_walked; i++) {
		if (i < capacity)
			ret_frames[i] = walked[i];
		hash = weight_mix(hash ^ walked[i]);
	}
	*ret_summary = (struct walk_summary){.hash = hash, .n_frames = n_walked};
}

struct walk_summary walk_interrupted(const void *context, uint64_t *ret_frames, uint32_t capacity)
{
	struct walk_summary summary;

	walk_stack(NULL, ret_frames, capacity, &summary);
	return summary;
}

uint32_t table_take(enum heap_region_id region, uint32_t n)
{
	uint32_t *used = &session.table->regions[region].used;
	uint32_t at = __atomic_fetch_add(used, n, __ATOMIC_RELAXED);

	return at + n <= session.capacity[region] ? at : TABLE_FULL;
}

bool table_is_full(enum heap_region_id region)
{
	return session.table->regions[region].used >= session.capacity[region];
}

bool table_has_room(enum heap_region_id region)
{
	return session.table->regions[region].used < session.capacity[region] / 2;
}

static int setup(void **state)
{
	memset(&session, 0, sizeof(session));
	session.table = calloc(1, sizeof(*session.table));
	session.capacity[HEAP_REGION_STACKS] = STACKS;
	session.capacity[HEAP_REGION_BUCKETS] = BUCKETS;
	session.capacity[HEAP_REGION_FRAMES] = FRAMES;
	session.stacks = calloc(STACKS, sizeof(struct heap_stack));
	session.buckets = calloc(BUCKETS, sizeof(struct heap_bucket));
	session.frames = calloc(FRAMES, sizeof(uint64_t));
	session.stack_index = calloc(STACKS * 2, sizeof(uint32_t));
	session.bucket_index = calloc(BUCKETS * 2, sizeof(uint32_t));
	return 0;
}

static int teardown(void **state)
{
	free(session.table);
	free(session.stacks);
	free(session.buckets);
	free(session.frames);
	free(session.stack_index);
	free(session.bucket_index);
	return 0;
}

static uint32_t intern(uint64_t a, uint64_t b)
{
	walked[0] = a;
	walked[1] = b;
	n_walked = 2;
	return intern_stack(NULL);
}

static void test_stack_is_kept_once(void **state)
{
	uint32_t one = intern(1, 2), two = intern(2, 1);
	const struct heap_stack *stack = &session.stacks[one];

	assert_int_not_equal(one, two);
	assert_int_equal(intern(1, 2), one);
	assert_int_equal(intern(2, 1), two);
	assert_int_equal(stack->ready, 1);
	assert_int_equal(stack->n_frames, 2);
	assert_int_equal(session.frames[stack->frames_index], 1);
	assert_int_equal(session.frames[stack->frames_index + 1], 2);
	assert_int_equal(session.table->regions[HEAP_REGION_STACKS].used, 2);
	assert_int_equal(session.table->regions[HEAP_REGION_FRAMES].used, 4);
}

static void test_full_region_refuses_the_new_and_finds_the_old(void **state)
{
	for (uint64_t i = 0; i < STACKS; i++)
		assert_int_equal(intern(i, 7), i);
	assert_int_equal(intern(1000, 7), INTERN_NONE);
	for (uint64_t i = 0; i < STACKS; i++)
		assert_int_equal(intern(i, 7), i);
}

static void test_labels_make_another_stack(void **state)
{
	uint32_t without = intern(1, 2), cpu = intern_interrupted(NULL), with;

	labels_thread.set = 3;
	with = intern(1, 2);
	assert_int_not_equal(with, without);
	assert_int_equal(session.stacks[with].labels, 3);
	assert_int_equal(session.stacks[without].labels, 0);
	assert_int_equal(intern(1, 2), with);
	assert_int_not_equal(intern_interrupted(NULL), cpu);
	assert_int_equal(session.stacks[intern_interrupted(NULL)].labels, 3);
	labels_thread.set = 4;
	assert_int_not_equal(intern(1, 2), with);
	labels_thread.set = 0;
	assert_int_equal(intern(1, 2), without);
}

static void test_an_interrupted_stack_is_another(void **state)
{
	uint32_t heap = intern(1, 2), cpu = intern_interrupted(NULL);

	assert_int_not_equal(heap, cpu);
	assert_int_equal(session.stacks[heap].kind, HEAP_KIND_HEAP);
	assert_int_equal(session.stacks[cpu].kind, HEAP_KIND_CPU);
	assert_int_equal(intern(1, 2), heap);
	assert_int_equal(intern_interrupted(NULL), cpu);
}

static void test_interrupted_stacks_leave_half(void **state)
{
	n_walked = 1;
	for (walked[0] = 0; walked[0] < STACKS / 2; walked[0]++)
		assert_int_equal(intern_interrupted(NULL), walked[0]);
	assert_int_equal(intern_interrupted(NULL), INTERN_NONE);
	walked[0] = 0;
	assert_int_equal(intern_interrupted(NULL), 0);
	for (uint64_t i = STACKS / 2; i < STACKS; i++)
		assert_int_equal(intern(i, 7), i);
}

static void test_bucket_is_kept_once(void **state)
{
	uint32_t one = intern_bucket(3, 16), two = intern_bucket(3, 32),
		 three = intern_bucket(4, 16);

	assert_int_not_equal(one, two);
	assert_int_not_equal(one, three);
	assert_int_not_equal(two, three);
	assert_int_equal(intern_bucket(3, 16), one);
	assert_int_equal(intern_bucket(4, 16), three);
	assert_int_equal(session.buckets[three].stack, 4);
	assert_int_equal(session.buckets[three].size_class, 16);
	for (uint64_t i = 3; i < BUCKETS; i++)
		assert_int_not_equal(intern_bucket(100, i * 16), INTERN_NONE);
	assert_int_equal(intern_bucket(101, 16), INTERN_NONE);
	assert_int_equal(intern_bucket(3, 16), one);
}

static void *intern_all(void *ret_indexes)
{
	uint32_t *indexes = ret_indexes;

	for (uint64_t i = 0; i < 16; i++)
		indexes[i] = intern(i, i);
	return NULL;
}

static void test_threads_agree(void **state)
{
	uint32_t indexes[3][16];
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, intern_all, indexes[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_memory_equal(indexes[0], indexes[1], sizeof(indexes[0]));
	assert_memory_equal(indexes[0], indexes[2], sizeof(indexes[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stack_is_kept_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_region_refuses_the_new_and_finds_the_old,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels_make_another_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_interrupted_stack_is_another, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_stacks_leave_half, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_bucket_is_kept_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads_agree, setup, teardown),
	};

	return cmocka_run_group_tests_name("preload-intern", tests, NULL, NULL);
}
