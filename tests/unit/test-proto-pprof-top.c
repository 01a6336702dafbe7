/* proto/pprof_top: sums by function, compared with go tool pprof where it is installed. */
#include "tests/unit/go.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "profd/base.h"
#include "proto/pprof.h"
#include "proto/pprof_top.h"

static struct pprof *new_profile(void)
{
	struct pprof *p = pprof_new();

	assert_non_null(p);
	assert_int_equal(pprof_add_sample_type(p, "objects", "count"), 0);
	assert_int_equal(pprof_add_sample_type(p, "space", "bytes"), 0);
	return p;
}

/* A stack, leaf first, of names; "a<b" is a inlined into b. Each name has one
 * line, its length, in the file "NAME.c". */
static void add_stack(struct pprof *p, const char *const *stack, int64_t value)
{
	static char files[64][64], names[64][64];
	uint64_t ids[32];
	int64_t values[2] = {1, value};
	struct pprof_sample s = {.locations = ids, .values = values};
	size_t used = 0;

	for (; stack[s.n_locations]; s.n_locations++) {
		struct pprof_line lines[8] = {0};
		struct pprof_location l = {.lines = lines};
		const char *rest = stack[s.n_locations];

		for (l.address = 5381; *rest; l.n_lines++, used++) {
			size_t n = strcspn(rest, "<");

			snprintf(names[used], sizeof(names[0]), "%.*s", (int)n, rest);
			snprintf(files[used], sizeof(files[0]), "%.*s.c", (int)n, rest);
			lines[l.n_lines] = (struct pprof_line){
				.name = names[used], .file = files[used], .line = (int64_t)n};
			for (size_t i = 0; i < n; i++)
				l.address = l.address * 33 + (uint8_t)rest[i];
			l.address = l.address * 33 + '<';
			rest += n + (rest[n] == '<');
		}
		assert_int_equal(pprof_add_location(p, &l, &ids[s.n_locations]), 0);
	}
	assert_int_equal(pprof_add_sample(p, &s), 0);
}

#define STACK(p, value, ...) add_stack(p, (const char *const[]){__VA_ARGS__, NULL}, value)

static struct pprof_top *top_of(const struct pprof *p, const struct pprof *base)
{
	struct pprof_top *top;

	assert_int_equal(pprof_top_new(p, base, 1, &top), 0);
	return top;
}

static const struct pprof_top_entry *find(const struct pprof_top *top, const char *name)
{
	for (size_t i = 0; i < top->n_entries; i++)
		if (!strcmp(top->entries[i].name, name))
			return &top->entries[i];
	return NULL;
}

static void check(const struct pprof_top *top, const char *name, int64_t flat, int64_t cum)
{
	const struct pprof_top_entry *e = find(top, name);

	assert_non_null(e);
	assert_int_equal(e->flat, flat);
	assert_int_equal(e->cum, cum);
}

/* Finds the line of `go tool pprof -top` that ends in @name, and compares. */
static void check_go_line(char *text, const struct pprof_top_entry *e)
{
	char *save, *copy = strdup(text);
	bool found = false;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int64_t flat, cum;
		char flat_share[32], sum[32], cum_share[32], name[256];

		if (sscanf(line, " %" SCNd64 "B %31s %31s %" SCNd64 "B %31s %255[^\n]", &flat,
			   flat_share, sum, &cum, cum_share, name) != 6 &&
		    sscanf(line, " %" SCNd64 " %31s %31s %" SCNd64 "B %31s %255[^\n]", &flat,
			   flat_share, sum, &cum, cum_share, name) != 6)
			continue;
		if (strstr(name, " (inline)"))
			*strstr(name, " (inline)") = '\0';
		if (strcmp(name, e->name))
			continue;
		assert_int_equal(flat, e->flat);
		assert_int_equal(cum, e->cum);
		found = true;
	}
	if (!found)
		fail_msg("%s is not in\n%s", e->name, text);
	free(copy);
}

static void compare_with_go(const struct pprof *p, const struct pprof_top *top)
{
	char path[] = "/tmp/profd-test-XXXXXX", *text;
	int fd = mkstemp(path);

	assert_int_equal(pprof_write_gzip(p, fd), 0);
	close(fd);
	text = go_pprof("-top -unit=B -nodecount=1000 -nodefraction=0 -sample_index=space", path);
	for (size_t i = 0; i < top->n_entries; i++)
		check_go_line(text, &top->entries[i]);
	free(text);
	unlink(path);
}

static struct pprof *make_program(void)
{
	struct pprof *p = new_profile();

	STACK(p, 100, "leaf", "middle", "main");
	STACK(p, 40, "leaf", "main");
	STACK(p, 7, "main");
	STACK(p, 20, "tiny<small<big", "main");
	STACK(p, 9, "recurse", "recurse", "recurse", "main");
	STACK(p, 1, "leaf", "recurse", "leaf", "recurse", "main");
	return p;
}

static void test_flat_and_cum(void **state)
{
	struct pprof *p = make_program();
	struct pprof_top *top = top_of(p, NULL);

	assert_int_equal(top->total, 177);
	check(top, "leaf", 141, 141);
	check(top, "middle", 0, 100);
	check(top, "main", 7, 177);
	assert_string_equal(top->entries[0].name, "leaf");
	assert_string_equal(top->entries[1].name, "tiny");
	assert_string_equal(top->entries[0].file, "leaf.c");
	assert_int_equal(top->entries[0].line, 4);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_inlined_functions_count_as_frames(void **state)
{
	struct pprof *p = make_program();
	struct pprof_top *top = top_of(p, NULL);

	check(top, "tiny", 20, 20);
	check(top, "small", 0, 20);
	check(top, "big", 0, 20);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_recursion_counts_once(void **state)
{
	struct pprof *p = make_program();
	struct pprof_top *top = top_of(p, NULL);

	check(top, "recurse", 9, 10);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_same_as_go(void **state)
{
	struct pprof *p = make_program();
	struct pprof_top *top = top_of(p, NULL);

	compare_with_go(p, top);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_less_a_base(void **state)
{
	struct pprof *p = make_program(), *base = new_profile();
	struct pprof_top *top;

	STACK(base, 30, "leaf", "main");
	STACK(base, 500, "gone", "main");
	STACK(base, 20, "tiny<small<big", "main");
	top = top_of(p, base);
	assert_int_equal(top->total, 177 - 550);
	check(top, "gone", -500, -500);
	check(top, "leaf", 111, 111);
	check(top, "main", 7, 177 - 550);
	assert_null(find(top, "tiny")); /* it comes to nothing */
	assert_string_equal(top->entries[0].name, "gone");
	pprof_top_free(top);
	pprof_free(base);
	pprof_free(p);
}

static void test_base_with_other_types(void **state)
{
	struct pprof *p = make_program(), *base = pprof_new();
	struct pprof_top *top;
	int64_t value = 5;
	struct pprof_sample s = {.values = &value};

	assert_int_equal(pprof_add_sample_type(base, "space", "bytes"), 0); /* another order */
	assert_int_equal(pprof_add_sample(base, &s), 0);
	top = top_of(p, base);
	assert_int_equal(top->total, 172);
	pprof_top_free(top);
	assert_int_equal(pprof_top_new(p, base, 0, &top), -ENOENT);
	assert_int_equal(pprof_top_new(p, base, 2, &top), -EINVAL);
	pprof_free(base);
	pprof_free(p);
}

static void test_dropped_frames(void **state)
{
	struct pprof *p = new_profile();
	struct pprof_top *top;

	assert_int_equal(pprof_set_drop_frames(p, "malloc|operator new(\\[\\])?|mid.*"), 0);
	STACK(p, 1, "malloc", "own", "main");
	STACK(p, 2, "malloc", "operator new[](unsigned long)", "own", "main");
	STACK(p, 4, "malloc<wrapper", "main"); /* the wrapper stays */
	STACK(p, 8, "below", "middle(int)", "own", "main");
	STACK(p, 16, "my_malloc", "main"); /* not the whole name */
	STACK(p, 32, "malloc");		   /* a stack never goes whole */
	STACK(p, 64, "malloc", "operator new(unsigned long)");
	top = top_of(p, NULL);
	check(top, "own", 1 + 2 + 8, 11);
	check(top, "wrapper", 4, 4);
	check(top, "my_malloc", 16, 16);
	check(top, "malloc", 32 + 64, 96);
	assert_null(find(top, "below"));
	assert_int_equal(top->total, 127);
	compare_with_go(p, top);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_names_are_cut_at_the_parameters(void **state)
{
	struct pprof *p = new_profile();
	struct pprof_top *top;

	assert_int_equal(pprof_set_drop_frames(p, "\\(anonymous namespace\\)::f|g::operator\\(\\)"),
			 0);
	STACK(p, 1, "(anonymous namespace)::f(int)", "one", "main");
	STACK(p, 2, "g::operator()(int) const", "two", "main");
	STACK(p, 4, "(anonymous namespace)::g(int)", "four", "main");
	top = top_of(p, NULL);
	check(top, "one", 1, 1);
	check(top, "two", 2, 2);
	check(top, "four", 0, 4);
	compare_with_go(p, top);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_unusable_expressions_are_ignored(void **state)
{
	static const char *const cases[] = {"(", "(?:leaf)", "((leaf{1,250}){1,250}){1,250}", "["};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pprof *p = make_program();
		struct pprof_top *top;

		assert_int_equal(pprof_set_drop_frames(p, cases[i]), 0);
		top = top_of(p, NULL);
		check(top, "leaf", 141, 141);
		pprof_top_free(top);
		pprof_free(p);
	}
}

static void test_the_line_is_where_most_is(void **state)
{
	struct pprof *p = new_profile();
	struct pprof_top *top;

	for (int64_t i = 1; i <= 3; i++) {
		struct pprof_line line = {.name = "f", .file = "f.c", .line = i};
		struct pprof_location l = {.address = (uint64_t)i, .lines = &line, .n_lines = 1};
		int64_t values[2] = {1, i == 2 ? 50 : 20};
		uint64_t id;
		struct pprof_sample s = {.locations = &id, .n_locations = 1, .values = values};

		assert_int_equal(pprof_add_location(p, &l, &id), 0);
		assert_int_equal(pprof_add_sample(p, &s), 0);
	}
	top = top_of(p, NULL);
	assert_int_equal(top->n_entries, 1);
	assert_int_equal(top->entries[0].line, 2);
	assert_int_equal(top->entries[0].flat, 90);
	pprof_top_free(top);
	pprof_free(p);
}

static void test_locations_without_names(void **state)
{
	struct pprof *p = new_profile();
	struct pprof_mapping m = {0x1000, 0x2000, 0, "/lib/libx.so", "", false};
	struct pprof_location l = {.address = 0x1500};
	uint64_t ids[2];
	int64_t values[2] = {1, 5};
	struct pprof_sample s = {.locations = ids, .n_locations = 2, .values = values};
	struct pprof_top *top;

	assert_int_equal(pprof_add_mapping(p, &m, &l.mapping), 0);
	assert_int_equal(pprof_add_location(p, &l, &ids[0]), 0);
	l.mapping = 0;
	assert_int_equal(pprof_add_location(p, &l, &ids[1]), 0);
	assert_int_equal(pprof_add_sample(p, &s), 0);
	top = top_of(p, NULL);
	check(top, "[libx.so]", 5, 5);
	check(top, "<unknown>", 0, 5);
	assert_string_equal(find(top, "[libx.so]")->file, "/lib/libx.so");
	pprof_top_free(top);
	pprof_free(p);
}

static void test_absurd_values_saturate(void **state)
{
	struct pprof *p = new_profile();
	struct pprof_top *top;

	STACK(p, INT64_MAX, "f");
	STACK(p, INT64_MAX, "f");
	STACK(p, INT64_MIN, "g");
	top = top_of(p, NULL);
	check(top, "f", INT64_MAX, INT64_MAX);
	pprof_top_free(top);
	pprof_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat_and_cum),
		cmocka_unit_test(test_inlined_functions_count_as_frames),
		cmocka_unit_test(test_recursion_counts_once),
		cmocka_unit_test(test_same_as_go),
		cmocka_unit_test(test_less_a_base),
		cmocka_unit_test(test_base_with_other_types),
		cmocka_unit_test(test_dropped_frames),
		cmocka_unit_test(test_names_are_cut_at_the_parameters),
		cmocka_unit_test(test_unusable_expressions_are_ignored),
		cmocka_unit_test(test_the_line_is_where_most_is),
		cmocka_unit_test(test_locations_without_names),
		cmocka_unit_test(test_absurd_values_saturate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
