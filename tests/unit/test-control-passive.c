/* Why a client is passive, from the texts of /proc/PID. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/control/passive.h"
#include "profd/base.h"

static void test_environment(void **state)
{
	static const char set[] = "A=1\0PROFD_DISABLE=1\0B=2";
	static const char other[] = "XPROFD_DISABLE=1\0PROFD_DISABLE=11\0PROFD_DISABLE=";
	static const char cut[] = "PROFD_DISABLE=1"; /* its end is not there */

	assert_true(passive_is_disabled(set, sizeof(set)));
	assert_false(passive_is_disabled(other, sizeof(other)));
	assert_false(passive_is_disabled(cut, sizeof(cut) - 1));
	assert_false(passive_is_disabled("", 0));
}

static void test_limits(void **state)
{
	static const char text[] =
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max file size             65536                unlimited            bytes     \n"
		"Max address space         unlimited            unlimited            bytes     \n";
	uint64_t value = 7;

	assert_true(passive_parse_limit(text, "Max file size", &value));
	assert_int_equal(value, 65536);
	assert_false(passive_parse_limit(text, "Max address space", &value));
	assert_false(passive_parse_limit(text, "Max open files", &value));
	assert_false(passive_parse_limit("Max file size", "Max file size", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
