/* proto/pprof: building, encoding, symbolizing. */
#include "tests/unit/pprof-example.h"

#include <errno.h>
#include <fcntl.h>

#include "profd/base.h"

static void test_everything_survives_a_round(void **state)
{
	struct pprof *p = make_profile(), *copy = reencode(p);

	check_profile(p);
	check_profile(copy);
	pprof_free(copy);
	pprof_free(p);
}

static void test_a_second_round_gives_the_same_bytes(void **state)
{
	struct pprof *p = make_profile(), *copy = reencode(p);
	struct bytes a = encode(p), b = encode(copy);

	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.data, b.data, a.n);
	free(a.data);
	free(b.data);
	pprof_free(copy);
	pprof_free(p);
}

static void test_the_same_thing_has_one_id(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_mapping m = {0x400000, 0x500000, 0x1000, "/usr/bin/thing", "00ff", false};
	uint64_t id;

	assert_int_equal(pprof_add_mapping(p, &m, &id), 0);
	assert_int_equal(id, 1);
	m.build_id = "00fe";
	assert_int_equal(pprof_add_mapping(p, &m, &id), 0);
	assert_int_equal(id, 2);
	assert_int_equal(add_location(p, 1, 0x405678), 2);
	assert_int_equal(add_location(p, 2, 0x405678), 3);
	assert_int_equal(add_location(p, 0, 0x405678), 4);
	pprof_free(p);
}

static void test_a_location_keeps_its_first_lines(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_line line = {.name = "late"};
	struct pprof_location l = {.mapping = 1, .address = 0x401234, .lines = &line, .n_lines = 1};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	assert_int_equal(id, 1);
	pprof_location_line(p, 1, 0, &line);
	assert_string_equal(line.name, "inner(int)");
	line = (struct pprof_line){.name = "late"};
	l.address = 0x405678;
	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	pprof_location_line(p, id, 0, &line);
	assert_string_equal(line.name, "late");
	pprof_free(p);
}

static void test_symbolizing_a_decoded_profile(void **state)
{
	struct pprof *p = make_profile(), *raw = reencode(p), *done;
	struct pprof_line lines[2] = {{.name = "new", .file = "n.c", .line = 1}, {.name = "up"}};
	struct pprof_mapping m;

	assert_int_equal(pprof_set_lines(raw, 2, lines, 2), 0);
	assert_int_equal(pprof_set_lines(raw, 1, lines, 1), 0);
	assert_int_equal(pprof_set_symbolized(raw, 1), 0);
	assert_int_equal(pprof_set_lines(raw, 3, lines, 1), -EINVAL);
	assert_int_equal(pprof_set_lines(raw, 0, lines, 1), -EINVAL);
	assert_int_equal(pprof_set_symbolized(raw, 2), -EINVAL);
	done = reencode(raw);
	pprof_mapping(done, 1, &m);
	assert_true(m.symbolized);
	pprof_location_line(done, 1, 0, &lines[0]);
	assert_string_equal(lines[0].name, "new");
	pprof_location_line(done, 2, 1, &lines[1]);
	assert_string_equal(lines[1].name, "up");
	assert_string_equal(lines[1].file, "");
	pprof_free(done);
	pprof_free(raw);
	pprof_free(p);
}

static void test_wrong_ids_are_refused(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_location l = {.mapping = 2};
	int64_t values[2] = {1, 1};
	uint64_t ids[] = {1, 3}, id;
	struct pprof_sample s = {.locations = ids, .n_locations = 2, .values = values};

	assert_int_equal(pprof_add_location(p, &l, &id), -EINVAL);
	assert_int_equal(pprof_add_sample(p, &s), -EINVAL);
	ids[1] = 0;
	assert_int_equal(pprof_add_sample(p, &s), -EINVAL);
	assert_int_equal(pprof_add_sample_type(p, "late", "count"), -EINVAL);
	check_profile(p);
	pprof_free(p);
}

static void test_bad_utf8_is_replaced(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xf0\x9f\x90\x8c", "\xf0\x9f\x90\x8c"},
		{"\xff"
		 "a",
		 "\xef\xbf\xbd"
		 "a"},
		{"a\xc3", "a\xef\xbf\xbd"},				  /* cut short */
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},		  /* overlong */
		{"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\x9f\xbf", "\xed\x9f\xbf"},
	};
	struct pprof *p = pprof_new();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(pprof_add_comment(p, cases[i][0]), 0);
		assert_string_equal(pprof_comment(p, i), cases[i][1]);
	}
	pprof_free(p);
}

/* Lengths of one, two and three bytes, within one another; numbers of ten. */
static void test_long_messages(void **state)
{
	enum { DEEPEST = 9000, LONGEST = 20000, COMMENTS = 300 };
	static const size_t depths[] = {0, 1, 62, 63, 64, 127, 128, 8191, DEEPEST};
	struct pprof *p = pprof_new(), *copy;
	uint64_t *ids = calloc(DEEPEST, sizeof(*ids)), id;
	char *name = calloc(1, LONGEST + 1);
	struct pprof_line line = {.name = name, .line = INT64_MIN, .start_line = -1};
	struct pprof_line *lines = calloc(200, sizeof(*lines));
	const int64_t value = -1;
	struct pprof_sample s;
	struct pprof_location l;

	memset(name, 'n', LONGEST);
	for (size_t i = 0; i < 200; i++)
		lines[i] = line;
	assert_int_equal(pprof_add_sample_type(p, "samples", "count"), 0);
	for (size_t i = 0; i < DEEPEST; i++)
		ids[i] = add_location(p, 0, UINT64_MAX - i);
	assert_int_equal(pprof_set_lines(p, DEEPEST, lines, 200), 0);
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		s = (struct pprof_sample){
			.locations = ids, .n_locations = depths[i], .values = &value};
		assert_int_equal(pprof_add_sample(p, &s), 0);
	}
	for (size_t i = 0; i < COMMENTS; i++)
		assert_int_equal(pprof_add_comment(p, i % 2 ? "" : name), 0);
	copy = reencode(p);
	assert_int_equal(pprof_n_samples(copy), ARRAY_SIZE(depths));
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		pprof_sample(copy, i, &s);
		assert_int_equal(s.n_locations, depths[i]);
		assert_memory_equal(s.locations, ids, depths[i] * sizeof(*ids));
		assert_int_equal(s.values[0], -1);
	}
	id = DEEPEST;
	pprof_location(copy, id, &l);
	assert_true(l.address == UINT64_MAX - DEEPEST + 1);
	assert_int_equal(l.n_lines, 200);
	pprof_location_line(copy, id, 199, &line);
	assert_string_equal(line.name, name);
	assert_true(line.line == INT64_MIN && line.start_line == -1);
	assert_int_equal(pprof_n_comments(copy), COMMENTS);
	assert_string_equal(pprof_comment(copy, 298), name);
	assert_string_equal(pprof_comment(copy, 299), "");
	pprof_free(copy);
	pprof_free(p);
	free(lines);
	free(name);
	free(ids);
}

static void test_line_functions(void **state)
{
	struct pprof *p = make_profile();
	const struct pprof_line a = {
		.name = "a", .system_name = "_a", .file = "a.c", .start_line = 3};
	struct pprof_line_function lines[2] = {{0, 7}, {0, 8}};
	struct pprof_line line;
	uint32_t again;

	assert_int_equal(pprof_set_line_functions(p, 1, lines, 2), -EINVAL);
	assert_int_equal(pprof_add_function(p, &a, &lines[0].function), 0);
	assert_int_equal(pprof_add_function(p, &a, &again), 0);
	assert_int_equal(again, lines[0].function);
	lines[1].function = UINT32_MAX;
	assert_int_equal(pprof_set_line_functions(p, 1, lines, 2), -EINVAL);
	lines[1].function = again;
	assert_int_equal(pprof_set_line_functions(p, 1, lines, 2), 0);
	pprof_location_line(p, 1, 1, &line);
	assert_string_equal(line.name, "a");
	assert_string_equal(line.file, "a.c");
	assert_int_equal(line.start_line, 3);
	assert_int_equal(line.line, 8);
	pprof_free(p);
}

static void test_label_rules(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_label labels[] = {
		{.key = "a", .num = 0, .unit = ""}, /* would vanish */
		{.key = "b", .str = "one"},
		{.key = "b", .str = "two"},
		{.key = "b", .num = 3},
		{.key = "", .str = "no key"},
		{.key = "c", .str = "", .num = 7}, /* an empty string says nothing */
		{.key = "d", .num = 0, .unit = "bytes"},
	};
	int64_t values[2] = {1, 1};
	struct pprof_sample s = {.values = values, .labels = labels, .n_labels = 7};
	struct pprof *copy;
	struct pprof_label label;

	assert_int_equal(pprof_add_sample(p, &s), 0);
	copy = reencode(p);
	pprof_sample(copy, 1, &s);
	assert_int_equal(s.n_locations, 0);
	assert_int_equal(s.n_labels, 2);
	pprof_sample_label(copy, 1, 0, &label);
	assert_string_equal(label.key, "b");
	assert_string_equal(label.str, "one");
	pprof_sample_label(copy, 1, 1, &label);
	assert_string_equal(label.key, "d");
	assert_string_equal(label.unit, "bytes");
	pprof_free(copy);
	pprof_free(p);
}

static void test_finding_a_sample_type(void **state)
{
	struct pprof *p = make_profile(), *empty = pprof_new();
	size_t i;

	assert_int_equal(pprof_find_type(p, "cpu", &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(pprof_find_type(p, "wall", &i), -ENOENT);
	assert_int_equal(pprof_find_type(p, NULL, &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(pprof_set_default_type(p, ""), 0);
	assert_int_equal(pprof_find_type(p, NULL, &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(pprof_find_type(empty, NULL, &i), -ENOENT);
	pprof_free(empty);
	pprof_free(p);
}

/* ---- as Go sees it */

static void write_file(const struct pprof *p, const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pprof_write_gzip(p, fd), 0);
	close(fd);
}

static void test_go_accepts_many_samples(void **state)
{
	struct pprof *p = make_profile();
	uint64_t ids[30];
	int64_t values[2] = {1, 100};
	struct pprof_sample s = {.locations = ids, .n_locations = 30, .values = values};
	char path[] = "/tmp/profd-test-XXXXXX", *json;
	int fd = mkstemp(path);

	close(fd);
	for (uint64_t i = 0; i < 20000; i++) {
		for (uint64_t j = 0; j < 30; j++)
			ids[j] = add_location(p, 1, 0x400000 + (i * 7919 + j * j * 31) % 50000);
		assert_int_equal(pprof_add_sample(p, &s), 0);
	}
	write_file(p, path);
	json = go_check(path);
	assert_non_null(strstr(json, "\"samples\":20001"));
	assert_non_null(
		strstr(json, "\"type\":\"cpu\",\"unit\":\"nanoseconds\",\"total\":1999995"));
	assert_non_null(strstr(json, "\"comments\":[\"first comment\",\"second comment\"]"));
	unlink(path);
	free(json);
	pprof_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_survives_a_round),
		cmocka_unit_test(test_a_second_round_gives_the_same_bytes),
		cmocka_unit_test(test_the_same_thing_has_one_id),
		cmocka_unit_test(test_a_location_keeps_its_first_lines),
		cmocka_unit_test(test_symbolizing_a_decoded_profile),
		cmocka_unit_test(test_wrong_ids_are_refused),
		cmocka_unit_test(test_bad_utf8_is_replaced),
		cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_line_functions),
		cmocka_unit_test(test_label_rules),
		cmocka_unit_test(test_finding_a_sample_type),
		cmocka_unit_test(test_go_accepts_many_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
