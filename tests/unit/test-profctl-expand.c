/* %p %h %t in output names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/profctl/expand.c"

static const struct expand values = {
	.pid = 4711,
	.host = "tower",
	.unix_ns = 1795230764123000000,
};

static void expect(const char *name, const char *text)
{
	_cleanup_free_ char *got = NULL;

	assert_int_equal(expand_name(name, &values, &got), 0);
	assert_string_equal(got, text);
}

static void test_values(void **state)
{
	expect("", "");
	expect("plain.pb.gz", "plain.pb.gz");
	expect("heap.%p", "heap.4711");
	expect("%h/%p-%p", "tower/4711-4711");
	expect("%t", "20261121T031244.123Z");
	expect("100%%p", "100%p");
}

static void test_unknown_is_refused(void **state)
{
	char *got = NULL;

	assert_int_equal(expand_name("a%x", &values, &got), -EINVAL);
	assert_int_equal(expand_name("a%", &values, &got), -EINVAL);
	assert_null(got);
}

static void test_too_long_is_refused(void **state)
{
	char name[PROFD_MAX_PATH + 1];
	char *got = NULL;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(expand_name(name, &values, &got), -ENAMETOOLONG);
	name[sizeof(name) - 2] = '\0';
	assert_int_equal(expand_name(name, &values, &got), 0);
	free(got);
}

static void test_has(void **state)
{
	assert_true(expand_has("a%p", 'p'));
	assert_false(expand_has("a%%p", 'p'));
	assert_true(expand_has("%%%p", 'p'));
	assert_false(expand_has("ap%", 'p'));
	assert_false(expand_has("", 'p'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_unknown_is_refused),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
