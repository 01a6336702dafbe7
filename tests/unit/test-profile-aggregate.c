/* daemon/profile/aggregate: sums by (stack, labels). */
#include "daemon/profile/aggregate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "profd/base.h"

static struct aggregate *new_aggregate(size_t max_stacks)
{
	struct aggregate *a;

	assert_int_equal(aggregate_new(2, max_stacks, &a), 0);
	return a;
}

static struct sample sample_of(const struct frame *frames, size_t n, int64_t value)
{
	return (struct sample){.frames = frames, .n_frames = n, .values = {value, value * 10}};
}

static int add(struct aggregate *a, uint32_t module, uint64_t offset, pid_t pid, int64_t value)
{
	struct frame frames[] = {{module, offset}, {1, 0x100}};
	struct sample s = sample_of(frames, 2, value);

	s.labels.pid = pid;
	return aggregate_add(a, &s);
}

static int64_t value_of(const struct aggregate *a, size_t i, size_t value)
{
	struct aggregate_entry e;

	aggregate_entry(a, i, &e);
	return e.values[value];
}

static void test_equal_samples_are_summed(void **state)
{
	struct aggregate *a = new_aggregate(100);

	assert_int_equal(add(a, 1, 0x10, 7, 1), 0);
	assert_int_equal(add(a, 1, 0x20, 7, 2), 0);
	assert_int_equal(add(a, 1, 0x10, 7, 4), 0);
	assert_int_equal(aggregate_count(a), 2);
	assert_int_equal(value_of(a, 0, 0), 5);
	assert_int_equal(value_of(a, 0, 1), 50);
	assert_int_equal(value_of(a, 1, 0), 2);
	aggregate_free(a);
}

static void test_every_part_tells_samples_apart(void **state)
{
	struct frame frames[] = {{1, 0x10}, {1, 0x20}};
	struct sample cases[] = {
		sample_of(frames, 2, 1), sample_of(frames, 1, 1), sample_of(frames + 1, 1, 1),
		sample_of(frames, 0, 1), sample_of(frames, 2, 1), sample_of(frames, 2, 1),
		sample_of(frames, 2, 1), sample_of(frames, 2, 1), sample_of(frames, 2, 1),
		sample_of(frames, 2, 1),
	};
	struct aggregate *a = new_aggregate(100);

	cases[4].labels.pid = 1;
	cases[5].labels.tid = 1;
	cases[6].labels.comm = "x";
	cases[7].labels.thread = "x";
	cases[8].labels.unit = "x";
	cases[9].labels.bytes = 1;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			assert_int_equal(aggregate_add(a, &cases[i]), 0);
	assert_int_equal(aggregate_count(a), ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(value_of(a, i, 0), 2);
	aggregate_free(a);
}

static void test_owns_what_it_was_given(void **state)
{
	struct frame frames[] = {{3, 0x30}};
	char comm[] = "before", unit[] = "a.service";
	struct sample s = sample_of(frames, 1, 1);
	struct aggregate *a = new_aggregate(100);
	const struct frame *kept;
	struct aggregate_entry e;
	size_t n;

	s.labels.comm = comm;
	s.labels.unit = unit;
	assert_int_equal(aggregate_add(a, &s), 0);
	frames[0] = (struct frame){9, 9};
	memset(comm, 'x', 3);
	memset(unit, 'x', 3);
	aggregate_entry(a, 0, &e);
	kept = aggregate_frames(a, &n);
	assert_int_equal(n, 1);
	assert_int_equal(kept[e.frames[0]].module, 3);
	assert_int_equal(kept[e.frames[0]].offset, 0x30);
	assert_string_equal(e.labels.comm, "before");
	assert_string_equal(e.labels.unit, "a.service");
	assert_null(e.labels.thread);
	aggregate_free(a);
}

static void test_full_refuses_what_is_new_and_takes_what_is_known(void **state)
{
	struct aggregate *a = new_aggregate(2);
	size_t n;

	assert_int_equal(add(a, 1, 0x10, 0, 1), 0);
	assert_int_equal(add(a, 1, 0x20, 0, 1), 0);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(add(a, 1, 0x1000 + i, 0, 1), -ENOSPC);
	assert_int_equal(add(a, 1, 0x10, 5, 1), -ENOSPC);
	assert_int_equal(add(a, 1, 0x20, 0, 1), 0);
	assert_int_equal(aggregate_count(a), 2);
	assert_int_equal(aggregate_refused(a), 1001);
	assert_int_equal(value_of(a, 1, 0), 2);
	aggregate_frames(a, &n);
	assert_int_equal(n, 3); /* nothing was kept of those refused */
	aggregate_free(a);
}

static void test_full_knows_labels_too(void **state)
{
	struct aggregate *a = new_aggregate(1);
	struct frame frame = {1, 1};
	struct sample s = sample_of(&frame, 1, 1);

	s.labels.comm = "known";
	assert_int_equal(aggregate_add(a, &s), 0);
	assert_int_equal(aggregate_add(a, &s), 0);
	s.labels.comm = "other";
	assert_int_equal(aggregate_add(a, &s), -ENOSPC);
	s.labels.comm = NULL;
	assert_int_equal(aggregate_add(a, &s), -ENOSPC);
	assert_int_equal(value_of(a, 0, 0), 2);
	aggregate_free(a);
}

static void test_sums_saturate(void **state)
{
	struct aggregate *a = new_aggregate(10);
	struct frame frame = {1, 1};
	struct sample s = {
		.frames = &frame, .n_frames = 1, .values = {INT64_MAX - 1, INT64_MIN + 1}};

	assert_int_equal(aggregate_add(a, &s), 0);
	assert_int_equal(aggregate_add(a, &s), 0);
	assert_int_equal(value_of(a, 0, 0), INT64_MAX);
	assert_int_equal(value_of(a, 0, 1), INT64_MIN);
	aggregate_free(a);
}

struct seen {
	uint64_t next;
	uint64_t stop_at;
};

static int see(const struct sample *s, void *userdata)
{
	struct seen *seen = userdata;

	assert_int_equal(s->n_frames, 2);
	assert_int_equal(s->frames[0].offset, 0x5000 + seen->next);
	assert_int_equal(s->frames[1].offset, 0x100);
	assert_int_equal(s->values[0], (int64_t)seen->next + 1);
	assert_int_equal(s->values[1], ((int64_t)seen->next + 1) * 10);
	assert_int_equal(s->values[2], 0);
	seen->next++;
	return seen->next == seen->stop_at ? -ECANCELED : 0;
}

static void test_each_goes_by_first_appearance(void **state)
{
	struct aggregate *a = new_aggregate(5000);
	struct seen seen = {0};

	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(add(a, 1, 0x5000 + i, 0, 1), 0);
	for (uint64_t i = 5000; i > 0; i--)
		assert_int_equal(add(a, 1, 0x5000 + i - 1, 0, (int64_t)i - 1), 0);
	assert_int_equal(aggregate_each(a, see, &seen), 0);
	assert_int_equal(seen.next, 5000);
	seen = (struct seen){.stop_at = 3};
	assert_int_equal(aggregate_each(a, see, &seen), -ECANCELED);
	assert_int_equal(seen.next, 3);
	aggregate_free(a);
}

static void test_empty_and_wrong(void **state)
{
	struct aggregate *a = new_aggregate(0);

	assert_int_equal(aggregate_each(a, see, NULL), 0);
	assert_int_equal(add(a, 1, 1, 0, 1), -ENOSPC);
	aggregate_free(a);
	aggregate_free(NULL);
	assert_int_equal(aggregate_new(SAMPLE_VALUES_MAX + 1, 10, &a), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_samples_are_summed),
		cmocka_unit_test(test_every_part_tells_samples_apart),
		cmocka_unit_test(test_owns_what_it_was_given),
		cmocka_unit_test(test_full_refuses_what_is_new_and_takes_what_is_known),
		cmocka_unit_test(test_full_knows_labels_too),
		cmocka_unit_test(test_sums_saturate),
		cmocka_unit_test(test_each_goes_by_first_appearance),
		cmocka_unit_test(test_empty_and_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
