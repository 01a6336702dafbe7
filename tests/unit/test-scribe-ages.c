/* Comments about ages get the name that reports show, and no other comment changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profd/base.h"
#include "daemon/scribe/ages.h"

#define TEN "nametnamet"

static void add_location(struct pprof *p, uint64_t address, const char *name, const char *file)
{
	struct pprof_line line = {.name = name, .system_name = name, .file = file, .line = 61};
	struct pprof_location l = {.address = address, .lines = &line, .n_lines = 1};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
}

static struct pprof *make_profile(void)
{
	struct pprof *p = pprof_new();

	assert_non_null(p);
	assert_int_equal(pprof_set_drop_frames(p, "operator new|malloc"), 0);
	add_location(p, 0x10, "operator new(unsigned long)", "");
	add_location(p, 0x20, "open_session", "/src/deep/leak.cc");
	add_location(p, 0x30, "main", "/src/main.cc");
	add_location(p, 0x40, "no_file", "");
	add_location(p, 0x50, TEN TEN TEN TEN TEN TEN TEN "12345678\xc3\xa9", "/a.cc");
	add_location(p, 0x60, TEN TEN TEN TEN TEN TEN TEN "123456789\xc3\xa9", "");
	return p;
}

static void check(const char *before, const char *after)
{
	struct pprof *p = make_profile();

	assert_int_equal(pprof_add_comment(p, "note"), 0);
	assert_int_equal(pprof_add_comment(p, before), 0);
	assert_int_equal(ages_name(p, NULL), 0);
	assert_int_equal(pprof_n_comments(p), 2);
	assert_string_equal(pprof_comment(p, 0), "note");
	assert_string_equal(pprof_comment(p, 1), after);
	pprof_free(p);
}

static void test_names_the_frame_that_reports_show(void **state)
{
	check("age of 4 samples in {0x10 0x20 0x30}: oldest 3.0s",
	      "age of 4 samples in open_session leak.cc:61: oldest 3.0s");
	check("age of 4 samples in {0x40}: oldest 3.0s",
	      "age of 4 samples in no_file: oldest 3.0s");
}

static void test_names_an_allocator_rather_than_nothing(void **state)
{
	check("age of 4 samples in {0x10}: x",
	      "age of 4 samples in operator new(unsigned long): x");
}

/* At most 80 bytes of it, and whole characters. */
static void test_shortens_long_names(void **state)
{
	check("age of 4 samples in {0x50}: x",
	      "age of 4 samples in " TEN TEN TEN TEN TEN TEN TEN "12345678\xc3\xa9 a.cc:61: x");
	check("age of 4 samples in {0x60}: x",
	      "age of 4 samples in " TEN TEN TEN TEN TEN TEN TEN "123456789...: x");
}

static void test_keeps_an_address_that_is_not_there(void **state)
{
	check("age of 4 samples in {0x99 0x98}: x", "age of 4 samples in 0x99: x");
}

/* One that was made of other expressions is not this profile's. */
static void test_takes_a_ready_filter_of_its_own(void **state)
{
	static const char *const drop[] = {"operator new|malloc", "open_session", ""};
	static const char *const keep[] = {"", "operator new"};

	for (size_t i = 0; i < ARRAY_SIZE(drop) * ARRAY_SIZE(keep); i++) {
		struct pprof *p = make_profile();
		struct pprof_filter *filter;

		assert_int_equal(pprof_filter_new(drop[i / 2], keep[i % 2], &filter), 0);
		assert_int_equal(pprof_add_comment(p, "age of 4 samples in {0x10 0x20}"), 0);
		assert_int_equal(ages_name(p, filter), 0);
		assert_string_equal(pprof_comment(p, 0),
				    "age of 4 samples in open_session leak.cc:61");
		pprof_filter_free(filter);
		pprof_free(p);
	}
}

static void test_leaves_other_comments_alone(void **state)
{
	check("age of {0x20", "age of {0x20");
	check("age of {}", "age of {}");
	check("in {0x20}", "in {0x20}");
	check("age of {0x20 }", "age of {0x20 }");
	check("age of all things", "age of all things");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_the_frame_that_reports_show),
		cmocka_unit_test(test_names_an_allocator_rather_than_nothing),
		cmocka_unit_test(test_shortens_long_names),
		cmocka_unit_test(test_keeps_an_address_that_is_not_there),
		cmocka_unit_test(test_takes_a_ready_filter_of_its_own),
		cmocka_unit_test(test_leaves_other_comments_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
