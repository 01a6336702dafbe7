/* What `profctl enable` understands of a unit, and what it writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/profctl/dropin.c"
#include "client/profctl/executable.c"
#include "client/profctl/obstacles.c"
#include "client/profctl/systemctl.c"

static void assert_variable(const char *list, const char *name, const char *expected)
{
	char *value = unit_variable(list, name);

	if (expected)
		assert_string_equal(value, expected);
	else
		assert_null(value);
	free(value);
}

static void variables_are_unquoted(void **state)
{
	static const char list[] = "A=1 \"LD_PRELOAD=/a b/c \\\"q\\\" \\\\ \\$X\" XLD_PRELOAD=no "
				   "LD=2 $'T=a\\tb' EMPTY=";

	assert_variable(list, "A", "1");
	assert_variable(list, "LD_PRELOAD", "/a b/c \"q\" \\ $X");
	assert_variable(list, "LD", "2");
	assert_variable(list, "EMPTY", "");
	assert_variable(list, "PRELOAD", NULL);
	assert_variable("", "A", NULL);
	assert_variable("\"A=never closed", "A", "never closed");
	assert_variable("\"A=b\\", "A", "b\\");
}

static void properties_are_lines(void **state)
{
	struct unit unit = {.text = (char *)"Id=a.service\nExecStart=one\nExecStartEx=no\n"
					    "ExecStart=two\nEmpty=\nLast=x"};
	const char *position = NULL;
	char *value;

	assert_int_equal(unit_next(&unit, "ExecStart", &position, &value), 0);
	assert_string_equal(value, "one");
	free(value);
	assert_int_equal(unit_next(&unit, "ExecStart", &position, &value), 0);
	assert_string_equal(value, "two");
	free(value);
	assert_int_equal(unit_next(&unit, "ExecStart", &position, &value), -ENOENT);
	assert_true(unit_is(&unit, "Empty", ""));
	assert_true(unit_is(&unit, "Last", "x"));
	assert_null(unit_value(&unit, "Exec"));
}

static void names_that_could_leave_the_directory(void **state)
{
	static const char *const bad[] = {"",
					  "service",
					  ".service",
					  "a",
					  "a.socket",
					  "../a.service",
					  "a/b.service",
					  "a b.service",
					  "..service",
					  "@.service",
					  "a\nb.service",
					  "-rf.service",
					  "\xc3\xa9.service",
					  "a.service.d/..",
					  "a*.service"};
	char longest[400];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(unit_name_is_valid(bad[i]));
	assert_true(unit_name_is_valid("a.service"));
	assert_true(unit_name_is_valid("dbus-org.x_1:2@tty\\x2d1.service"));
	assert_true(unit_name_is_valid("getty@.service"));
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + MAX_UNIT_NAME - 8, ".service");
	assert_true(unit_name_is_valid(longest));
	strcpy(longest + MAX_UNIT_NAME - 8, "a.service");
	assert_false(unit_name_is_valid(longest));
	assert_true(unit_name_is_template("getty@.service"));
	assert_false(unit_name_is_template("getty@tty1.service"));
}

static void dropins_say_any_path(void **state)
{
	char *text = NULL;

	assert_int_equal(format("a.service", "/l.so:/a b%\"\\", true, &text), 0);
	assert_non_null(strstr(text, "\nEnvironment=\"LD_PRELOAD=/l.so:/a b%%\\\"\\\\\"\n"));
	assert_non_null(strstr(text, "\n" MADE_LINE "\n"));
	assert_ptr_equal(strstr(text, FIRST_LINE "\n"), text);
	free(text);
	assert_int_equal(format("a.service", "/l.so", false, &text), 0);
	assert_null(strstr(text, MADE_LINE));
	free(text);
	text = NULL;
	assert_int_equal(format("a.service", "/l.so\n[Unit]", true, &text), -EINVAL);
	assert_null(text);
}

static void paths_cover_what_lies_below(void **state)
{
	assert_int_equal(covered("-/nowhere +/none:ro", "/nowhere/x"), 8);
	assert_int_equal(covered("/nowhere/", "/nowhere"), 8);
	assert_int_equal(covered("/none:ro,nodev", "/none/x"), 5);
	assert_int_equal(covered("/nowhere", "/nowhereelse"), 0);
	assert_int_equal(covered("/ /nowhere", "/nowhere/x"), 8);
	assert_int_equal(covered("/", "/nowhere/x"), 1);
	assert_int_equal(covered("\"/with space\"", "/with space/x"), 11);
	assert_int_equal(covered("relative", "/relative"), 0);
	assert_int_equal(covered("", "/x"), 0);
}

static void filters_allow_or_deny(void **state)
{
	assert_int_equal(may_call("read connect", "connect", true), 1);
	assert_int_equal(may_call("read connect", "conn", true), -1);
	assert_int_equal(may_call("read connect", "write", true), -1);
	assert_int_equal(may_call("read connect", "write", false), 0);
	assert_int_equal(may_call("read connect:1", "connect", true), 0);
	assert_int_equal(may_call("~connect", "connect", true), -1);
	assert_int_equal(may_call("~connect:EPERM", "connect", true), 0);
	assert_int_equal(may_call("~connect:kill write", "connect", false), -1);
	assert_int_equal(may_call("~connect", "write", true), 1);
}

static void programs_that_take_no_library(void **state)
{
	const char *dynamic = "/proc/self/exe";

	assert_null(executable_refuses(dynamic, dynamic, true));
	assert_null(executable_refuses("/nowhere", dynamic, true));
	assert_null(executable_refuses("/dev/null", dynamic, true));
	assert_non_null(strstr(executable_refuses("/sbin/ldconfig", dynamic, false), "statically"));
	assert_non_null(strstr(executable_refuses("/bin/su", dynamic, true), "setuid"));
	assert_null(executable_refuses("/bin/su", dynamic, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_unquoted),
		cmocka_unit_test(properties_are_lines),
		cmocka_unit_test(names_that_could_leave_the_directory),
		cmocka_unit_test(dropins_say_any_path),
		cmocka_unit_test(paths_cover_what_lies_below),
		cmocka_unit_test(filters_allow_or_deny),
		cmocka_unit_test(programs_that_take_no_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
