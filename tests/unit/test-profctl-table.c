/* Tables and lines, as they reach standard output. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "client/profctl/output.c"
#include "client/profctl/table.c"

struct capture {
	int kept, file;
};

static void capture_start(struct capture *c)
{
	fflush(stdout);
	c->kept = dup(STDOUT_FILENO);
	c->file = memfd_create("stdout", MFD_CLOEXEC);
	assert_true(c->kept >= 0 && c->file >= 0);
	assert_true(dup2(c->file, STDOUT_FILENO) >= 0);
}

static void capture_end(struct capture *c, const char *expected)
{
	char text[4096];
	ssize_t n;

	fflush(stdout);
	dup2(c->kept, STDOUT_FILENO);
	n = pread(c->file, text, sizeof(text) - 1, 0);
	close(c->kept);
	close(c->file);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void test_columns(void **state)
{
	static const struct table_column columns[] = {
		{"PID", true},
		{"COMM", false},
		{"RSS", true},
	};
	struct capture c;
	struct table table;

	table_init(&table, columns, ARRAY_SIZE(columns));
	table_add(&table, "%d", 1);
	table_add(&table, "a long name");
	table_add(&table, "1MB");
	table_add(&table, "%d", 123456);
	table_add(&table, "x");
	table_add(&table, "%s", "");
	capture_start(&c);
	assert_int_equal(table_print(&table), 0);
	capture_end(&c, "   PID  COMM         RSS\n"
			"     1  a long name  1MB\n"
			"123456  x\n");
	table_done(&table);
}

static void test_no_titles(void **state)
{
	static const struct table_column columns[] = {{"", false}, {"", true}};
	struct capture c;
	struct table table;

	table_init(&table, columns, ARRAY_SIZE(columns));
	table_add(&table, "a");
	table_add(&table, "10");
	table_add(&table, "b\xc3\xa4");
	table_add(&table, "7");
	capture_start(&c);
	assert_int_equal(table_print(&table), 0);
	capture_end(&c, "a   10\nb\xc3\xa4   7\n");
	table_done(&table);
}

static void test_control_characters_are_replaced(void **state)
{
	struct capture c;

	capture_start(&c);
	output_line("%s", "a\nb\033[2Jc\x7f\xc2\x9b"
			  "d\te\xc3\xa9");
	capture_end(&c, "a?b?[2Jc???d?e\xc3\xa9\n");
}

static void test_json_of_bytes_that_are_not_utf8(void **state)
{
	json_t *value = output_json_string("a\xff"
					   "b\xc3\xa9");

	assert_non_null(value);
	assert_string_equal(json_string_value(value), "a?b??");
	json_decref(value);
	value = output_json_string("\xc3\xa9");
	assert_string_equal(json_string_value(value), "\xc3\xa9");
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_no_titles),
		cmocka_unit_test(test_control_characters_are_replaced),
		cmocka_unit_test(test_json_of_bytes_that_are_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
