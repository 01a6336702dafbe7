/* Durations as they are typed, and as they are shown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/duration.c"

#define UNTOUCHED 77

static void expect(const char *text, uint64_t ns)
{
	uint64_t got = UNTOUCHED;

	if (duration_parse(text, 0, &got) != 0)
		fail_msg("\"%s\" was refused", text);
	assert_int_equal(got, ns);
}

static void refuse(const char *text, int error)
{
	uint64_t got = UNTOUCHED;
	int r = duration_parse(text, 0, &got);

	if (r != error)
		fail_msg("\"%s\": %d, not %d", text, r, error);
	assert_int_equal(got, UNTOUCHED);
}

static void test_units(void **state)
{
	expect("500ms", 500 * NSEC_PER_MSEC);
	expect("30s", 30 * NSEC_PER_SEC);
	expect("5m", 300 * NSEC_PER_SEC);
	expect("2h", 7200 * NSEC_PER_SEC);
	expect("0s", 0);
}

static void test_fractions(void **state)
{
	expect("1.5s", 1500 * NSEC_PER_MSEC);
	expect("0.25ms", 250000);
	expect("0.000000001s", 1);
	expect("0.0000000019s", 1);
	expect("1.5h", 5400 * NSEC_PER_SEC);
}

static void test_sums(void **state)
{
	expect("1m30s", 90 * NSEC_PER_SEC);
	expect("1h0.5m10ms", 3630 * NSEC_PER_SEC + 10 * NSEC_PER_MSEC);
}

static void test_nonsense_is_refused(void **state)
{
	static const char *const bad[] = {
		"",    "5 parsecs", "5",  "s",	  "-1s", "+1s", "1.s",	 ".5s",	   "1s ",
		" 1s", "1,5s",	    "1d", "1e3s", "inf", "nan", "0x10s", "1.2.3s", "1sm",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(bad[i], -EINVAL);
}

static void test_too_long_is_refused(void **state)
{
	expect("18446744073s", 18446744073 * NSEC_PER_SEC);
	refuse("18446744074s", -ERANGE);
	refuse("99999999999999999999s", -ERANGE);
	refuse("18446744073s18446744073s", -ERANGE);
	refuse("18446744073709551615h", -ERANGE);
}

static void test_bare_number(void **state)
{
	uint64_t got = UNTOUCHED;

	assert_int_equal(duration_parse("10", NSEC_PER_SEC, &got), 0);
	assert_int_equal(got, 10 * NSEC_PER_SEC);
	assert_int_equal(duration_parse("10ms", NSEC_PER_SEC, &got), 0);
	assert_int_equal(got, 10 * NSEC_PER_MSEC);
	/* Only alone: 1m30 is a slip. */
	assert_int_equal(duration_parse("1m30", NSEC_PER_SEC, &got), -EINVAL);
}

static void test_format(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0ms"},
		{999 * NSEC_PER_MSEC, "999ms"},
		{28 * NSEC_PER_SEC + 900 * NSEC_PER_MSEC, "28s"},
		{310 * NSEC_PER_SEC, "5m10s"},
		{300 * NSEC_PER_SEC, "5m"},
		{7380 * NSEC_PER_SEC, "2h3m"},
		{(4 * 86400 + 7200 + 59) * NSEC_PER_SEC, "4d2h"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[DURATION_BYTES];

		duration_format(cases[i].ns, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_fractions),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_bare_number),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
