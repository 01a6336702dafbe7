/* profctl top on profiles made here. Figures as `go tool pprof -top` prints them. */
#include "tests/unit/profctl-harness.h"

#include <jansson.h>

#include "proto/pprof.h"

#define MB (1024LL * 1024)

struct stack { /* leaf first, NULL at the end */
	const char *frames[4];
	int64_t objects, bytes;
};

static uint64_t add_location(struct pprof *p, uint64_t mapping, const char *name)
{
	struct pprof_line line = {.name = name, .system_name = name, .file = "/src/app.c"};
	struct pprof_location location = {.mapping = mapping, .lines = &line, .n_lines = 1};
	uint64_t id;

	/* A line and an address of its own for each name. */
	line.line = name[0];
	location.address = 0x1000 + (uint64_t)(unsigned char)name[0] * 16;
	assert_int_equal(pprof_add_location(p, &location, &id), 0);
	return id;
}

static void add_stack(struct pprof *p, uint64_t mapping, const struct stack *stack)
{
	uint64_t ids[ARRAY_SIZE(stack->frames)];
	const int64_t values[] = {stack->objects, stack->bytes};
	struct pprof_sample sample = {.locations = ids, .values = values};

	for (; stack->frames[sample.n_locations]; sample.n_locations++)
		ids[sample.n_locations] =
			add_location(p, mapping, stack->frames[sample.n_locations]);
	assert_int_equal(pprof_add_sample(p, &sample), 0);
}

static void write_profile(const struct harness *h, const char *name, const struct stack *stacks,
			  size_t n)
{
	const struct pprof_mapping mapping = {
		.start = 0x1000,
		.limit = 0x9000,
		.path = "/bin/app",
		.build_id = "ab12",
		.symbolized = true,
	};
	struct pprof *p = pprof_new();
	char path[128];
	uint64_t id;
	int fd;

	assert_non_null(p);
	assert_int_equal(pprof_add_sample_type(p, "inuse_objects", "count"), 0);
	assert_int_equal(pprof_add_sample_type(p, "inuse_space", "bytes"), 0);
	assert_int_equal(pprof_set_time(p, 1795230764123000000, 0), 0);
	assert_int_equal(pprof_add_comment(p, "trim 1 @1.158s: rss 45.1->38.2 MB"), 0);
	assert_int_equal(pprof_add_mapping(p, &mapping, &id), 0);
	for (size_t i = 0; i < n; i++)
		add_stack(p, id, &stacks[i]);
	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pprof_write_gzip(p, fd), 0);
	close(fd);
	pprof_free(p);
}

static const struct stack before[] = {
	{{"leak", "main"}, 10, 3 * MB},
	{{"cache", "work", "main"}, 4, 6 * MB},
	{{"tiny", "main"}, 1, 1024},
};
static const struct stack after[] = {
	{{"leak", "main"}, 40, 12 * MB},
	{{"cache", "work", "main"}, 3, 4 * MB + MB / 2},
	{{"tiny", "main"}, 1, 1024},
};

static int set_up(void **state)
{
	if (harness_set_up(state) < 0)
		return -1;
	setenv("TZ", "UTC", 1);
	write_profile(*state, "a", before, ARRAY_SIZE(before));
	write_profile(*state, "b", after, ARRAY_SIZE(after));
	return 0;
}

static int tear_down(void **state)
{
	static const char *const ours[] = {"a", "b", "bad"};
	const struct harness *h = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		snprintf(path, sizeof(path), "%s/%s", h->dir, ours[i]);
		unlink(path);
	}
	return harness_tear_down(state);
}

/* Runs in the directory of the profiles: top with the arguments, up to NULL. */
static void top(struct harness *h, ...)
{
	char *argv[20] = {NULL, (char *)"top"};
	char kept[4096];
	va_list args;
	int n = 2;

	va_start(args, h);
	while ((argv[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	assert_non_null(getcwd(kept, sizeof(kept)));
	assert_int_equal(chdir(h->dir), 0);
	harness_run(h, argv);
	assert_int_equal(chdir(kept), 0);
}

static void test_table(void **state)
{
	struct harness *h = *state;

	top(h, "a", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->err, "");
	assert_string_equal(h->out,
			    "Type: inuse_space\n"
			    "Time: Nov 21, 2026 at 3:12am (UTC)\n"
			    "Showing nodes accounting for 9MB, 100% of 9MB total\n"
			    "Dropped 1 node (cum <= 0.05MB)\n"
			    "      flat  flat%   sum%        cum   cum%\n"
			    "       6MB 66.66% 66.66%        6MB 66.66%  cache  /src/app.c:99\n"
			    "       3MB 33.33%   100%        3MB 33.33%  leak  /src/app.c:108\n"
			    "         0     0%   100%        9MB   100%  main  /src/app.c:109\n"
			    "         0     0%   100%        6MB 66.66%  work  /src/app.c:119\n"
			    "\n"
			    "trim 1 @1.158s: rss 45.1->38.2 MB\n");
}

static void test_base(void **state)
{
	struct harness *h = *state;

	top(h, "b", "--base", "a", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out,
			    "Type: inuse_space\n"
			    "Time: Nov 21, 2026 at 3:12am (UTC)\n"
			    "Change since a: +7.50MB\n"
			    "Showing nodes accounting for 7.50MB, 71.43% of 10.50MB total\n"
			    "      flat  flat%   sum%        cum   cum%\n"
			    "       9MB 85.71% 85.71%        9MB 85.71%  leak  /src/app.c:108\n"
			    "   -1.50MB 14.29% 71.43%    -1.50MB 14.29%  cache  /src/app.c:99\n"
			    "         0     0% 71.43%     7.50MB 71.43%  main  /src/app.c:109\n"
			    "         0     0% 71.43%    -1.50MB 14.29%  work  /src/app.c:119\n"
			    "\n"
			    "trim 1 @1.158s: rss 45.1->38.2 MB\n");
}

static void test_type_order_and_number(void **state)
{
	struct harness *h = *state;

	top(h, "--cum", "--type=inuse_objects", "-n2", "a", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out,
			    "Type: inuse_objects\n"
			    "Time: Nov 21, 2026 at 3:12am (UTC)\n"
			    "Showing nodes accounting for 10, 66.67% of 15 total\n"
			    "Showing top 2 nodes out of 5\n"
			    "      flat  flat%   sum%        cum   cum%\n"
			    "         0     0%     0%         15   100%  main  /src/app.c:109\n"
			    "        10 66.67% 66.67%         10 66.67%  leak  /src/app.c:108\n"
			    "\n"
			    "trim 1 @1.158s: rss 45.1->38.2 MB\n");
}

static void test_json(void **state)
{
	struct harness *h = *state;
	json_t *root, *functions, *first;

	top(h, "--json", "--base=a", "b", NULL);
	assert_int_equal(h->code, 0);
	root = json_loads(h->out, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "type")), "inuse_space");
	assert_string_equal(json_string_value(json_object_get(root, "base")), "a");
	assert_int_equal(json_integer_value(json_object_get(root, "total")), 7 * MB + MB / 2);
	functions = json_object_get(root, "functions");
	first = json_array_get(functions, 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "leak");
	assert_int_equal(json_integer_value(json_object_get(first, "flat")), 9 * MB);
	assert_int_equal(json_integer_value(json_object_get(first, "line")), 'l');
	json_decref(root);
}

static void make_bad(const struct harness *h, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/bad", h->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_errors(void **state)
{
	struct harness *h = *state;

	top(h, "none", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: none: No such file or directory\n");
	make_bad(h, "#!/bin/sh\n");
	top(h, "bad", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: bad: not a pprof profile\n");
	top(h, "a", "--base=bad", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: bad: not a pprof profile\n");
	top(h, ".", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: .: Is a directory\n");
	assert_string_equal(h->out, "");
}

static void test_usage(void **state)
{
	struct harness *h = *state;

	top(h, NULL);
	assert_int_equal(h->code, 2);
	top(h, "a", "b", NULL);
	assert_int_equal(h->code, 2);
	top(h, "-n", "x", "a", NULL);
	assert_int_equal(h->code, 2);
	top(h, "--type=cpu", "a", NULL);
	assert_int_equal(h->code, 2);
	assert_string_equal(
		h->err, "profctl: --type: a has no \"cpu\": it has inuse_objects, inuse_space\n");
}

static void test_nothing_in_use(void **state)
{
	static const struct stack freed[] = {{{"leak", "main"}, 0, 0}};
	struct harness *h = *state;

	write_profile(h, "bad", freed, 1);
	top(h, "bad", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->err, "profctl: bad: nothing was in use any more: --type alloc_space "
				    "shows what was allocated\n");
}

static void test_base_of_another_kind(void **state)
{
	struct harness *h = *state;
	struct pprof *p = pprof_new();
	uint8_t *bytes = NULL;
	char path[128];
	size_t n = 0;
	FILE *file;

	assert_int_equal(pprof_add_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_encode(p, &bytes, &n), 0);
	pprof_free(p);
	snprintf(path, sizeof(path), "%s/bad", h->dir);
	file = fopen(path, "w");
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	fclose(file);
	free(bytes);
	top(h, "--base=bad", "a", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: bad: has cpu, a has inuse_objects, inuse_space: give "
				    "two profiles of one kind and event\n");
	/* One without samples is a profile all the same. */
	top(h, "bad", NULL);
	assert_int_equal(h->code, 0);
	assert_non_null(strstr(h->out, "Showing nodes accounting for 0, "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_table),
		TEST(test_base),
		TEST(test_type_order_and_number),
		TEST(test_json),
		TEST(test_errors),
		TEST(test_usage),
		TEST(test_nothing_in_use),
		TEST(test_base_of_another_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
