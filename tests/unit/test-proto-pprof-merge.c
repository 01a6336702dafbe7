/* proto/pprof_merge: sums and differences of profiles, sample by sample. */
#include "tests/unit/pprof-example.h"

#include <errno.h>

#include "profd/base.h"
#include "proto/pprof_merge.h"

/* Samples: a location's address and its value; what @comm labels, if it is there. */
static struct pprof *make(const char *comment, const char *comm, const int64_t (*samples)[2])
{
	struct pprof *p = pprof_new();
	struct pprof_mapping m = {0x400000, 0x500000, 0, "/usr/bin/thing", "00ff", true};
	uint64_t mapping;

	assert_non_null(p);
	assert_int_equal(pprof_add_sample_type(p, "objects", "count"), 0);
	assert_int_equal(pprof_add_sample_type(p, "space", "bytes"), 0);
	assert_int_equal(pprof_set_period(p, "space", "bytes", 512), 0);
	assert_int_equal(pprof_add_comment(p, comment), 0);
	assert_int_equal(pprof_add_mapping(p, &m, &mapping), 0);
	for (; (*samples)[0]; samples++) {
		struct pprof_line line = {.name = "f", .file = "f.c", .line = (*samples)[0]};
		struct pprof_location l = {mapping, (uint64_t)(0x400000 + (*samples)[0]), &line, 1};
		struct pprof_label label = {.key = "comm", .str = comm};
		int64_t values[] = {1, (*samples)[1]};
		uint64_t id;
		struct pprof_sample s = {&id, 1, values, &label, comm ? 1 : 0};

		assert_int_equal(pprof_add_location(p, &l, &id), 0);
		assert_int_equal(pprof_add_sample(p, &s), 0);
	}
	return p;
}

#define MAKE(comment, comm, ...) make(comment, comm, (const int64_t[][2]){__VA_ARGS__, {0}})

/* The value of the sample whose leaf is at line @line; -1: none. */
static int64_t value_of(const struct pprof *p, int64_t line, const char *comm)
{
	for (size_t i = 0; i < pprof_n_samples(p); i++) {
		struct pprof_sample s;
		struct pprof_label label = {};
		struct pprof_line l;

		pprof_sample(p, i, &s);
		pprof_location_line(p, s.locations[0], 0, &l);
		if (s.n_labels > 0)
			pprof_sample_label(p, i, 0, &label);
		if (l.line == line && strcmp(label.str ?: "", comm ?: "") == 0)
			return s.values[1];
	}
	return -1;
}

static void test_sum(void **state)
{
	struct pprof *a = MAKE("one", NULL, {1, 10}, {2, 20}), *merged;
	struct pprof *b = MAKE("two", NULL, {2, 5}, {3, 7});
	struct pprof_merge_input inputs[] = {{.profile = a}, {.profile = b}, {.profile = a}};

	assert_int_equal(pprof_merge(inputs, 3, &merged), 0);
	assert_int_equal(pprof_n_samples(merged), 3);
	assert_int_equal(value_of(merged, 1, NULL), 20);
	assert_int_equal(value_of(merged, 2, NULL), 45);
	assert_int_equal(value_of(merged, 3, NULL), 7);
	assert_int_equal(pprof_n_mappings(merged), 1);
	assert_int_equal(pprof_n_comments(merged), 2);
	assert_int_equal(pprof_period(merged), 512);
	assert_true(pprof_same_kind(a, merged));
	pprof_free(a);
	pprof_free(b);
	pprof_free(reencode(merged));
	pprof_free(merged);
}

static void test_difference_leaves_out_what_is_nothing(void **state)
{
	struct pprof *before = MAKE("before", NULL, {1, 10}, {2, 20}), *delta;
	struct pprof *after = MAKE("after", NULL, {1, 10}, {2, 50}, {3, 1});
	struct pprof_merge_input inputs[] = {{.profile = after},
					     {.profile = before, .subtract = true}};

	assert_int_equal(pprof_merge(inputs, 2, &delta), 0);
	assert_int_equal(pprof_n_samples(delta), 2);
	assert_int_equal(value_of(delta, 1, NULL), -1);
	assert_int_equal(value_of(delta, 2, NULL), 30);
	assert_int_equal(value_of(delta, 3, NULL), 1);
	assert_int_equal(pprof_n_comments(delta), 1);
	assert_string_equal(pprof_comment(delta, 0), "after");
	pprof_free(before);
	pprof_free(after);
	pprof_free(delta);
}

static void test_labels_tell_processes_apart(void **state)
{
	struct pprof *a = MAKE("", NULL, {1, 10}), *b = MAKE("", NULL, {1, 3}), *merged;
	struct pprof *labelled = MAKE("", "a", {1, 100});
	struct pprof_label one = {.key = "comm", .str = "a"}, two = {.key = "comm", .str = "b"};
	struct pprof_merge_input inputs[] = {
		{.profile = a, .labels = &one, .n_labels = 1},
		{.profile = b, .labels = &two, .n_labels = 1},
		{.profile = labelled},
	};

	assert_int_equal(pprof_merge(inputs, 3, &merged), 0);
	assert_int_equal(pprof_n_samples(merged), 2);
	assert_int_equal(value_of(merged, 1, "a"), 110);
	assert_int_equal(value_of(merged, 1, "b"), 3);
	pprof_free(a);
	pprof_free(b);
	pprof_free(labelled);
	pprof_free(merged);
}

static void test_sums_do_not_wrap(void **state)
{
	struct pprof *a = MAKE("", NULL, {1, INT64_MAX}), *merged;
	struct pprof_merge_input inputs[] = {{.profile = a}, {.profile = a}};

	assert_int_equal(pprof_merge(inputs, 2, &merged), 0);
	assert_true(value_of(merged, 1, NULL) == INT64_MAX);
	pprof_free(a);
	pprof_free(merged);
}

static void test_another_kind(void **state)
{
	struct pprof *a = MAKE("", NULL, {1, 1}), *b = make_profile(), *merged = NULL;
	struct pprof_merge_input inputs[] = {{.profile = a}, {.profile = b}};

	assert_int_equal(pprof_merge(inputs, 2, &merged), -EINVAL);
	assert_null(merged);
	pprof_free(a);
	pprof_free(b);
}

/* All that a profile has comes through. */
static void test_one_of_everything(void **state)
{
	struct pprof *p = make_profile(), *merged;
	struct pprof_merge_input input = {.profile = p};
	struct bytes a, b;

	assert_int_equal(pprof_merge(&input, 1, &merged), 0);
	a = encode(p);
	b = encode(merged);
	assert_int_equal(a.n, b.n);
	assert_int_equal(pprof_n_samples(merged), pprof_n_samples(p));
	assert_int_equal(pprof_n_locations(merged), pprof_n_locations(p));
	assert_string_equal(pprof_default_type(merged), pprof_default_type(p));
	assert_string_equal(pprof_drop_frames(merged), pprof_drop_frames(p));
	free(a.data);
	free(b.data);
	pprof_free(p);
	pprof_free(merged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_difference_leaves_out_what_is_nothing),
		cmocka_unit_test(test_labels_tell_processes_apart),
		cmocka_unit_test(test_sums_do_not_wrap),
		cmocka_unit_test(test_another_kind),
		cmocka_unit_test(test_one_of_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
