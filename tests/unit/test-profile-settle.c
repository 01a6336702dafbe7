/* daemon/profile/settle: known time is divided among the stacks that were sampled. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "daemon/profile/settle.h"
#include "profd/base.h"

static struct aggregate *new_collected(void)
{
	struct aggregate *a;

	assert_int_equal(aggregate_new(SETTLE_N, 10000, &a), 0);
	return a;
}

/* @weight 0: no stack. */
static void add(struct aggregate *a, uint64_t offset, pid_t tid, uint64_t stratum, int64_t count,
		int64_t ns, int64_t weight)
{
	struct frame f = {.module = 1, .offset = offset};
	struct sample s = {
		.frames = &f,
		.n_frames = 1,
		.labels = {.pid = 1, .tid = tid, .bytes = stratum},
		.values = {count, ns, weight * count, weight * ns},
	};

	assert_int_equal(aggregate_add(a, &s), 0);
}

static void value_of(const struct aggregate *a, uint64_t offset, pid_t tid, int64_t ret[2])
{
	size_t n;
	const struct frame *frames = aggregate_frames(a, &n);
	struct aggregate_entry e;

	ret[0] = ret[1] = 0;
	for (size_t i = 0; i < aggregate_count(a); i++) {
		aggregate_entry(a, i, &e);
		assert_int_equal(e.labels.bytes, 0);
		if (e.labels.tid != tid || frames[e.frames[0]].offset != offset)
			continue;
		ret[0] += e.values[0];
		ret[1] += e.values[1];
	}
}

static void check(const struct aggregate *a, uint64_t offset, pid_t tid, int64_t count, int64_t ns)
{
	int64_t values[2];

	value_of(a, offset, tid, values);
	assert_int_equal(values[0], count);
	assert_int_equal(values[1], ns);
}

static void test_all_sampled_stay_as_they_are(void **state)
{
	struct aggregate *a = new_collected(), *s;

	add(a, 0x10, 1, 3, 5, 500, 1);
	add(a, 0x20, 1, 3, 1, 100, 1);
	add(a, 0x20, 1, 9, 1, 1000000, 1); /* the same stack waits long, too */
	assert_int_equal(settle_waits(a, &s), 0);
	assert_int_equal(aggregate_n_values(s), 2);
	check(s, 0x10, 1, 5, 500);
	check(s, 0x20, 1, 2, 1000100);
	aggregate_free(a);
	aggregate_free(s);
}

static void test_time_without_stack_goes_where_weights_say(void **state)
{
	struct aggregate *a = new_collected(), *s;

	add(a, 0x99, 1, 3, 80, 8000, 0);
	add(a, 0x10, 1, 3, 3, 300, 10);
	add(a, 0x20, 1, 3, 1, 100, 10);
	assert_int_equal(settle_waits(a, &s), 0);
	check(s, 0x10, 1, 63, 6300);
	check(s, 0x20, 1, 21, 2100);
	check(s, 0x99, 1, 0, 0);
	aggregate_free(a);
	aggregate_free(s);
}

/* Neither another thread's stacks, nor those that wait for another length. */
static void test_strata_are_kept_apart(void **state)
{
	struct aggregate *a = new_collected(), *s;

	add(a, 0x99, 1, 3, 80, 8000, 0);
	add(a, 0x99, 1, 9, 1, 1000000, 0);
	add(a, 0x99, 2, 3, 7, 700, 0);
	add(a, 0x10, 1, 3, 1, 100, 10);
	assert_int_equal(settle_waits(a, &s), 0);
	check(s, 0x10, 1, 81, 8100);
	check(s, 0x99, 1, 1, 1000000);
	check(s, 0x99, 2, 7, 700);
	aggregate_free(a);
	aggregate_free(s);
}

static void test_without_stratum_nothing_moves(void **state)
{
	struct aggregate *a = new_collected(), *s;

	add(a, 0x77, 1, 0, 1, 900, 0);
	add(a, 0x10, 1, 3, 1, 100, 10);
	assert_int_equal(settle_waits(a, &s), 0);
	check(s, 0x77, 1, 1, 900);
	check(s, 0x10, 1, 1, 100);
	aggregate_free(a);
	aggregate_free(s);
}

/* What cannot be divided evenly is neither lost nor made up. */
static void test_sums_stay(void **state)
{
	struct aggregate *a = new_collected(), *s;
	int64_t sum[2] = {0}, values[2];

	add(a, 0x999, 1, 3, 101, 1000003, 0);
	for (uint64_t i = 1; i <= 7; i++)
		add(a, i, 1, 3, 1, (int64_t)(100 + i), (int64_t)(3 + i));
	assert_int_equal(settle_waits(a, &s), 0);
	for (uint64_t i = 1; i <= 7; i++) {
		value_of(s, i, 1, values);
		sum[0] += values[0];
		sum[1] += values[1];
		assert_true(values[0] > 1);
	}
	assert_int_equal(sum[0], 101 + 7);
	assert_int_equal(sum[1], 1000003 + 728);
	aggregate_free(a);
	aggregate_free(s);
}

/*
 * A thread waits 1 ms, 99 times in 100, in two places, 2 to 1, and 1 s in a
 * third; one wait in 20 has its stack taken, at random. The time of short waits
 * is right in every window, whatever becomes of the long ones, and their shares
 * are right in the mean (the seed is fixed; their standard error is 0.5%). What
 * scaling each sampled wait by 20 gives is shown beside it.
 */
static void test_no_bias_to_the_long(void **state)
{
	uint64_t random = 88172645463325252ULL;
	double sum = 0, scaled_low = 1e18, scaled_high = 0;

	for (int window = 0; window < 200; window++) {
		struct aggregate *a = new_collected(), *s;
		int64_t values[2], others;
		double scaled = 0;

		for (int i = 0; i < 2000; i++) {
			bool is_long = i % 100 == 50, sampled;
			int64_t ns = is_long ? 1000000000 : 1000000;

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			sampled = random % 20 == 0;
			add(a,
			    !sampled  ? 0x99
			    : is_long ? 0x20
			    : i % 3   ? 0x10
				      : 0x30,
			    1, is_long ? 11 : 6, 1, ns, sampled ? 20 : 0);
			scaled += sampled ? 20.0 * (double)ns : 0;
		}
		assert_int_equal(settle_waits(a, &s), 0);
		value_of(s, 0x30, 1, values);
		others = values[1];
		value_of(s, 0x10, 1, values);
		sum += (double)values[1];
		assert_in_range(values[1] + others, 1980000000 - 1, 1980000000);
		scaled_low = min(scaled_low, scaled);
		scaled_high = max(scaled_high, scaled);
		aggregate_free(a);
		aggregate_free(s);
	}
	assert_true(sum / 200 / 1e9 > 1.32 * 0.985 && sum / 200 / 1e9 < 1.32 * 1.015);
	print_message("short waits: %.3f s in the mean, 1.320 are true; all of it, each wait "
		      "scaled: %.1f to %.1f s, %.1f are true\n",
		      sum / 200 / 1e9, scaled_low / 1e9, scaled_high / 1e9, 20 + 1.98);
	assert_true(scaled_high > 2 * scaled_low);
}

static void test_other_shapes_are_refused(void **state)
{
	struct aggregate *a, *s;

	assert_int_equal(aggregate_new(2, 10, &a), 0);
	assert_int_equal(settle_waits(a, &s), -EINVAL);
	aggregate_free(a);
	a = new_collected();
	assert_int_equal(settle_waits(a, &s), 0);
	assert_int_equal(aggregate_count(s), 0);
	aggregate_free(a);
	aggregate_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_sampled_stay_as_they_are),
		cmocka_unit_test(test_time_without_stack_goes_where_weights_say),
		cmocka_unit_test(test_strata_are_kept_apart),
		cmocka_unit_test(test_without_stratum_nothing_moves),
		cmocka_unit_test(test_sums_stay),
		cmocka_unit_test(test_no_bias_to_the_long),
		cmocka_unit_test(test_other_shapes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
