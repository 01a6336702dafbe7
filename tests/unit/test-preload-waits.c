#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/preload/waits.c"
#include "client/preload/weight.c"

struct session session;

static struct {
	unsigned taken;
	uint64_t count, ns; /* fixed point */
	enum heap_kind kind;
} recorded;

void record_note(enum heap_kind kind, uint64_t count, uint64_t ns)
{
	recorded.taken++;
	recorded.kind = kind;
	recorded.count += count;
	recorded.ns += ns;
}

static struct heap_header table;
static uint32_t here = 1;

static void no_push(struct _pthread_cleanup_buffer *buffer, void (*run)(void *), void *argument)
{
}

static void no_pop(struct _pthread_cleanup_buffer *buffer, int run)
{
}

static int setup(void **state)
{
	memset(&table, 0, sizeof(table));
	memset(&recorded, 0, sizeof(recorded));
	memset(waits_entries, 0, sizeof(waits_entries));
	session = (struct session){.state = SESSION_ACTIVE, .here = &here, .table = &table};
	session.has_clock = true;
	session.seed = 7;
	table.waits = (struct heap_waits){
		.on = 1, .always = 1, .block_rate_ns = 20000, .mutex_fraction = 1};
	waits_word = &table.waits.on;
	push = no_push;
	pop = no_pop;
	return 0;
}

static double count(void)
{
	return (double)recorded.count / (1 << HEAP_OBJECT_SHIFT);
}

static double ns(void)
{
	return (double)recorded.ns / (1 << HEAP_BYTE_SHIFT);
}

/* As many are taken as their length says, and stand for all: within five times what
 * chance makes of it. */
static void test_short_waits_are_unbiased(void **state)
{
	static const uint64_t lengths[] = {1, 100, 1000, 7000, 19999};
	const unsigned n = 400000;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		double p = (double)lengths[i] / 20000, error;

		setup(state);
		for (unsigned j = 0; j < n; j++)
			record_block(lengths[i]);
		error = 5 / __builtin_sqrt(n * p);
		assert_true(count() > n * (1 - error) && count() < n * (1 + error));
		assert_true(ns() > (double)(n * lengths[i]) * (1 - error));
		assert_true(ns() < (double)(n * lengths[i]) * (1 + error));
		assert_true(recorded.taken < n);
	}
	assert_int_equal(recorded.kind, HEAP_KIND_BLOCK);
}

static void test_long_waits_are_all_taken(void **state)
{
	record_block(20000);
	record_block(1000000000000);
	assert_int_equal(recorded.count, 2ULL << HEAP_OBJECT_SHIFT);
	assert_int_equal(recorded.ns, (20000ULL + 1000000000000) << HEAP_BYTE_SHIFT);
}

static void test_what_is_not_asked_for_is_not_recorded(void **state)
{
	table.waits.block_rate_ns = 0;
	record_block(1000000);
	table.waits.mutex_fraction = 0;
	waits_charge(1000000);
	assert_int_equal(recorded.taken, 0);
}

static void test_a_profd_that_is_gone_is_not_waited_for(void **state)
{
	struct wait w;

	table.waits.always = 0;
	table.waits.block_rate_ns = 1;
	table.waits.until_mono_ns = mono_ns() + NSEC_PER_SEC * 1000;
	waits_start(&w, NULL);
	waits_end(&w);
	waits_charge(1);
	assert_int_equal(recorded.taken, 2);
	table.waits.until_mono_ns = mono_ns() - 1;
	waits_start(&w, NULL);
	waits_end(&w);
	waits_charge(1);
	assert_int_equal(recorded.taken, 2);
}

static void test_one_release_in_so_many(void **state)
{
	const unsigned n = 100000;

	table.waits.mutex_fraction = 10;
	table.waits.block_rate_ns = 1;
	for (unsigned i = 0; i < n; i++)
		waits_charge(50);
	assert_true(recorded.taken > n / 10 - 500 && recorded.taken < n / 10 + 500);
	assert_int_equal(recorded.count, 10ULL * recorded.taken << HEAP_OBJECT_SHIFT);
	assert_int_equal(recorded.ns, 500ULL * recorded.taken << HEAP_BYTE_SHIFT);
	assert_int_equal(recorded.kind, HEAP_KIND_MUTEX);
}

/* What a holder makes others wait is sampled by its length, too. */
static void test_short_contentions_are_unbiased(void **state)
{
	const unsigned n = 400000;
	double error = 5 / __builtin_sqrt(n / 20.0);

	for (unsigned i = 0; i < n; i++)
		waits_charge(1000);
	assert_true(count() > n * (1 - error) && count() < n * (1 + error));
	assert_true(ns() > n * 1e3 * (1 - error) && ns() < n * 1e3 * (1 + error));
	assert_true(recorded.taken < n / 10);
}

/* Moments long ago, so that the time until now is known to a fraction. */
static void test_a_release_is_charged_for_all_who_wait(void **state)
{
	const void *lock = &here;
	uint64_t now = mono_ns() >> MOMENT_SHIFT, second = NSEC_PER_SEC >> MOMENT_SHIFT, charged;

	assert_false(waits_release(lock, &charged));
	assert_true(enter(lock, now - 1000 * second));
	assert_true(enter(lock, now - 3000 * second));
	assert_true(waits_release(lock, &charged));
	assert_in_range(charged / NSEC_PER_SEC, 4000, 4004);
	assert_true(waits_release(lock, &charged)); /* each moment is charged once */
	assert_in_range(charged / NSEC_PER_SEC, 0, 4);
	leave(lock, now - 3000 * second);
	assert_true(waits_release(lock, &charged));
	assert_in_range(charged / NSEC_PER_SEC, 0, 4);
	assert_true(enter(lock, now - 500 * second));
	leave(lock, now - 1000 * second);
	assert_true(waits_release(lock, &charged)); /* the one that came last is left */
	assert_in_range(charged / NSEC_PER_SEC, 500, 504);
	leave(lock, now - 500 * second);
	assert_false(waits_release(lock, &charged));
	for (size_t i = 0; i < WAITS_ENTRIES; i++)
		assert_int_equal(waits_entries[i].word, 0);
}

static void test_one_that_gives_up_is_taken_out(void **state)
{
	const void *lock = &here;
	uint64_t now = mono_ns() >> MOMENT_SHIFT, second = NSEC_PER_SEC >> MOMENT_SHIFT, charged;

	enter(lock, now - 1000 * second);
	enter(lock, now - 2000 * second);
	leave(lock, now - 2000 * second); /* nobody has released it */
	assert_true(waits_release(lock, &charged));
	assert_in_range(charged / NSEC_PER_SEC, 1000, 1004);
}

/* Of two locks with one entry the first has it. */
static void test_another_lock_is_not_charged(void **state)
{
	uint64_t tag, other_tag, charged;
	uintptr_t first = 0x10000, other = first;
	struct wait w;

	do
		other += 8;
	while (entry_of((void *)other, &other_tag) != entry_of((void *)first, &tag) ||
	       other_tag == tag);
	assert_true(enter((void *)first, 1));
	assert_false(waits_release((void *)other, &charged));
	waits_start(&w, (void *)other);
	assert_null(w.lock);
	assert_int_equal(table.lost[HEAP_LOST_WAITS], 1);
	waits_end(&w);
	assert_true(waits_release((void *)first, &charged));
}

static void test_more_waiters_than_fit(void **state)
{
	const void *lock = &here;
	uint64_t charged;

	for (unsigned i = 0; i < MAX_WAITERS; i++)
		assert_true(enter(lock, mono_ns() >> MOMENT_SHIFT));
	assert_false(enter(lock, 1));
	assert_true(waits_release(lock, &charged));
	for (unsigned i = 0; i < MAX_WAITERS; i++)
		leave(lock, 0);
	assert_int_equal(entry_of(lock, &(uint64_t){0})->word, 0);
}

static void test_a_child_has_nobody_waiting(void **state)
{
	uint64_t charged;

	enter(&here, 1);
	waits_after_fork();
	assert_false(waits_release(&here, &charged));
	assert_int_equal(table.waits.on, 1);
	leave(&here, 1); /* of a thread that is not here: nothing happens */
	assert_int_equal(entry_of(&here, &(uint64_t){0})->word, 0);
	table.waits.always = 0;
	waits_after_fork();
	assert_int_equal(table.waits.on, 0);
}

#define WAITERS 4
static pthread_mutex_t crowded = PTHREAD_MUTEX_INITIALIZER;
static uint64_t waited_ns, charged_ns; /* atomic */

static void *crowd(void *unused)
{
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t charged, start;
		struct wait w;

		if (pthread_mutex_trylock(&crowded) != 0) {
			start = mono_ns();
			waits_start(&w, &crowded);
			pthread_mutex_lock(&crowded);
			waits_end(&w);
			__atomic_fetch_add(&waited_ns, mono_ns() - start, __ATOMIC_RELAXED);
		}
		for (start = mono_ns(); mono_ns() < start + 5000;)
			;
		if (waits_release(&crowded, &charged))
			__atomic_fetch_add(&charged_ns, charged, __ATOMIC_RELAXED);
		pthread_mutex_unlock(&crowded);
	}
	return NULL;
}

/* Under real threads: nothing is left, and no more is charged than was waited. */
static void test_threads(void **state)
{
	pthread_t threads[WAITERS];

	waited_ns = charged_ns = 0;
	for (unsigned i = 0; i < WAITERS; i++)
		pthread_create(&threads[i], NULL, crowd, NULL);
	for (unsigned i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < WAITS_ENTRIES; i++)
		assert_int_equal(waits_entries[i].word, 0);
	assert_true(charged_ns > 0);
	assert_true(charged_ns <= waited_ns + waited_ns / 100);
}

static void test_versions(void **state)
{
	void **found;

	waits_next.pthread_cond_wait = NULL;
	found = waits_find((void **)&waits_next.pthread_cond_wait, "pthread_cond_wait");
	assert_ptr_equal(*found, dlvsym(RTLD_DEFAULT, "pthread_cond_wait", "GLIBC_2.3.2"));
	assert_ptr_not_equal(*found, dlvsym(RTLD_DEFAULT, "pthread_cond_wait", "GLIBC_2.2.5"));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_short_waits_are_unbiased),
		TEST(test_long_waits_are_all_taken),
		TEST(test_what_is_not_asked_for_is_not_recorded),
		TEST(test_a_profd_that_is_gone_is_not_waited_for),
		TEST(test_one_release_in_so_many),
		TEST(test_short_contentions_are_unbiased),
		TEST(test_a_release_is_charged_for_all_who_wait),
		TEST(test_one_that_gives_up_is_taken_out),
		TEST(test_another_lock_is_not_charged),
		TEST(test_more_waiters_than_fit),
		TEST(test_a_child_has_nobody_waiting),
		TEST(test_threads),
		TEST(test_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
