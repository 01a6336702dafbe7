/*
 * Go's table of functions, read from files made for it: the same six functions of 16
 * bytes each, from 0x1000 on, in the three formats (tests/fuzz/corpus/go-table).
 */
#include "daemon/stack/go_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CORPUS	  "tests/fuzz/corpus/go-table/"
#define ASK_BYTES 2 /* before the table: an address, for the fuzzer */

static const char *const formats[] = {"go1.16-1005", "go1.18-1005", "go1.20-1005"};

static struct module open_table(const char *name)
{
	struct module m = {.kind = MODULE_FILE};
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), CORPUS "%s", name);
	m.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(m.fd >= 0);
	assert_int_equal(fstat(m.fd, &st), 0);
	m.go_table.offset = ASK_BYTES;
	m.go_table.bytes = (uint64_t)st.st_size - ASK_BYTES;
	return m;
}

static void assert_row(const struct module *m, uint64_t vaddr, uint8_t reg, int32_t cfa_offset,
		       int32_t rbp)
{
	struct cfi_row row;

	assert_int_equal(go_table_find_row(m, vaddr, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_OFFSET);
	assert_int_equal(row.cfa_reg, reg);
	assert_int_equal(row.cfa_offset, cfa_offset);
	assert_int_equal(row.ra_offset, -8);
	assert_int_equal(row.rbp, rbp);
	assert_in_range(vaddr, row.start, row.end - 1);
}

static void finds_the_depth_of_the_stack(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct module m = open_table(formats[i]);

		assert_row(&m, 0x1000, CFI_RSP, 8, 0);
		assert_row(&m, 0x1003, CFI_RSP, 8, 0);
		assert_row(&m, 0x1004, CFI_RSP, 32, -16);
		assert_row(&m, 0x100b, CFI_RSP, 32, -16);
		assert_row(&m, 0x100c, CFI_RSP, 8, 0);
		close(m.fd);
	}
}

static void knows_where_stacks_end(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct module m = open_table(formats[i]);
		struct cfi_row row;

		assert_int_equal(go_table_find_row(&m, 0x1012, &row), 0);
		assert_int_equal(row.kind, CFI_ROW_END);		       /* goexit */
		assert_int_equal(go_table_find_row(&m, 0x1022, &row), -EXDEV); /* systemstack */
		assert_row(&m, 0x1038, CFI_RBP, 16, -16); /* nanotime1: by its frame pointer */
		assert_int_equal(go_table_find_row(&m, 0x1042, &row), 0);
		assert_int_equal(row.kind, CFI_ROW_END); /* mcall */
		assert_int_equal(go_table_find_row(&m, 0x104f, &row), 0);
		assert_int_equal(row.kind, CFI_ROW_SIGNAL); /* a return address minus one */
		assert_int_equal(go_table_find_row(&m, 0x0fff, &row), -ENOENT);
		assert_int_equal(go_table_find_row(&m, 0x1060, &row), -ENOENT);
		close(m.fd);
	}
}

static void any_table_cut_short_is_refused(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct module m = open_table(formats[i]);
		uint64_t whole = m.go_table.bytes;
		struct cfi_row row;

		for (m.go_table.bytes = 0; m.go_table.bytes < whole - 4; m.go_table.bytes++) {
			int r = go_table_find_row(&m, 0x1055, &row);

			assert_true(r == -EBADMSG || r == -ENOENT);
		}
		close(m.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_depth_of_the_stack),
		cmocka_unit_test(knows_where_stacks_end),
		cmocka_unit_test(any_table_cut_short_is_refused),
	};

	return cmocka_run_group_tests_name("stack-go-table", tests, NULL, NULL);
}
