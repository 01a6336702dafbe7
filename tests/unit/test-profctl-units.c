/* Figures read as in pprof's own reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/profctl/units.c"

static void expect(int64_t value, const char *unit, const char *text)
{
	char got[UNITS_BYTES];

	units_format_auto(value, unit, got, sizeof(got));
	assert_string_equal(got, text);
}

static void test_bytes(void **state)
{
	expect(0, "bytes", "0");
	expect(1, "bytes", "1B");
	expect(1023, "bytes", "1023B");
	expect(1024, "bytes", "1kB");
	expect(524800, "bytes", "512.50kB");
	expect(36102424, "bytes", "34.43MB");
	expect(1LL << 30, "bytes", "1GB");
	expect(-524800, "bytes", "-512.50kB");
	expect(INT64_MAX, "bytes", "8192PB");
	expect(INT64_MIN, "bytes", "-8192PB");
}

static void test_time(void **state)
{
	expect(1980000000, "nanoseconds", "1.98s");
	expect(10000000, "nanoseconds", "10ms");
	expect(1500, "nanoseconds", "1.50us");
	expect(7200000000000, "nanoseconds", "2hrs");
}

static void test_counts_have_no_unit(void **state)
{
	expect(1234567, "count", "1234567");
	expect(3, "parsecs", "3");
}

static void test_one_unit_for_a_table(void **state)
{
	/* 512 kB of 600 kB: both in kB. 1 kB of 36 MB: 0.00097 MB would vanish. */
	assert_string_equal(units_pick_range(524288, 614400, "bytes").suffix, "kB");
	assert_string_equal(units_pick_range(1024, 36102424, "bytes").suffix, "kB");
	/* 512 kB times 100 is 50 MB: 0.5 MB still shows. */
	assert_string_equal(units_pick_range(524288, 1LL << 30, "bytes").suffix, "MB");
	assert_string_equal(units_pick_range(-524288, -(1LL << 30), "bytes").suffix, "MB");
	assert_string_equal(units_pick_range(0, 0, "bytes").suffix, "B");
}

static void test_percent(void **state)
{
	static const struct {
		int64_t value, total;
		const char *text;
	} cases[] = {
		{100, 100, "  100%"}, {99, 1000, " 9.90%"},    {5, 10, "50.00%"},
		{1, 1000, "  0.1%"},  {0, 100, "    0%"},      {3, 0, "    0%"},
		{-50, 100, "50.00%"}, {9996, 10000, "  100%"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[UNITS_BYTES];

		units_format_percent(cases[i].value, cases[i].total, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_counts_have_no_unit),
		cmocka_unit_test(test_one_unit_for_a_table),
		cmocka_unit_test(test_percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
