/*
 * The scribe's parts: the kernel's symbols, demangling within bounds, ranges,
 * the cache of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/base.h"
#include "daemon/scribe/cache.h"
#include "daemon/scribe/demangle.h"
#include "daemon/scribe/kallsyms.h"
#include "daemon/scribe/range.h"

static int memory_file(const void *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static void test_kernel_symbols(void **state)
{
	static const char text[] = "0000000000000000 A fixed_percpu_data\n"
				   "ffffffff81000000 T _stext\n"
				   "ffffffff81000000 t startup_64\n"
				   "ffffffff81002000 T schedule\n"
				   "ffffffff81001000 t local_one\n"
				   "ffffffff82000000 D some_data\n"
				   "ffffffffc0001000 t ext4_read\t[ext4]\n";
	_cleanup_close_ int fd = memory_file(text, strlen(text));
	struct kallsyms *kallsyms;
	struct symbol symbol = {};

	assert_int_equal(kallsyms_new(fd, &kallsyms), 0);
	assert_int_equal(kallsyms_count(kallsyms), 6);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81001fff, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "local_one");
	assert_string_equal(symbol.lines[0].file, "[kernel]");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81002000, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "schedule");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81000004, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "_stext");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffffc0001010, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "ext4_read");
	assert_string_equal(symbol.lines[0].file, "[ext4]");
	symbol_done(&symbol);
	/* Before the first, in data, far behind the last. */
	assert_int_equal(kallsyms_find(kallsyms, 0x1000, &symbol), -ENOENT);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff82000001, &symbol), -ENOENT);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffffd0000000, &symbol), -ENOENT);
	kallsyms_free(kallsyms);
}

static void test_kernel_symbols_malformed(void **state)
{
	static const char *const bad[] = {"x\n", "12\n", "12 T\n", "12 T \n", "12 T", "12  name\n"};
	static const char hidden[] = "0000000000000000 T _stext\n0000000000000000 T _etext\n";
	struct kallsyms *kallsyms;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_close_ int fd = memory_file(bad[i], strlen(bad[i]));

		assert_int_equal(kallsyms_new(fd, &kallsyms), -EBADMSG);
	}
	{
		_cleanup_close_ int fd = memory_file(hidden, strlen(hidden));

		assert_int_equal(kallsyms_new(fd, &kallsyms), 0);
		assert_int_equal(kallsyms_count(kallsyms), 0);
		kallsyms_free(kallsyms);
	}
}

static void check_demangled(const char *mangled, const char *expected)
{
	_cleanup_free_ char *name = demangle_name(mangled);

	if (!expected) {
		assert_null(name);
		return;
	}
	assert_non_null(name);
	assert_string_equal(name, expected);
}

static void test_demangles(void **state)
{
	check_demangled("_ZN6shapes9outermostEj", "shapes::outermost(unsigned int)");
	check_demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
			"core::fmt::Write::write_fmt");
	check_demangled("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	check_demangled("malloc", NULL);
	check_demangled("_start", NULL);
	check_demangled("_Z", NULL);
	check_demangled("", NULL);
}

/* f(a<int,int>, a<A,A>, a<B,B>, ...), each parameter made of the one before it
 * twice: 30 of them would be gigabytes. */
static void test_demangling_is_bounded(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	_cleanup_free_ char *name = NULL, *many = NULL;
	char mangled[1024];
	size_t n;

	n = (size_t)sprintf(mangled, "_Z1f1aIiiE");
	for (unsigned i = 0; i < 30; i++)
		n += (size_t)sprintf(mangled + n, "S_IS%c_S%c_E", digits[i], digits[i]);
	name = demangle_name(mangled);
	assert_non_null(name);
	assert_int_equal(strlen(name), DEMANGLE_MAX_OUTPUT);
	assert_memory_equal(name, "f(a<int, int>, a<a<int, int>, a<int, int> >", 43);

	many = malloc(DEMANGLE_MAX_INPUT + 2);
	assert_non_null(many);
	memset(many, '_', DEMANGLE_MAX_INPUT + 1);
	many[DEMANGLE_MAX_INPUT + 1] = '\0';
	assert_null(demangle_name(many));
}

static void test_ranges_prefer_the_innermost(void **state)
{
	struct range_table table = {};

	assert_null(range_table_find(&table, 5));
	assert_int_equal(range_table_add(&table, 100, 200, 1), 0);
	assert_int_equal(range_table_add(&table, 120, 140, 2), 0);
	assert_int_equal(range_table_add(&table, 130, 135, 3), 0);
	assert_int_equal(range_table_add(&table, 300, 400, 4), 0);
	range_table_sort(&table);
	assert_int_equal(range_table_find(&table, 100)->value, 1);
	assert_int_equal(range_table_find(&table, 134)->value, 3);
	assert_int_equal(range_table_find(&table, 135)->value, 2);
	assert_int_equal(range_table_find(&table, 199)->value, 1);
	assert_null(range_table_find(&table, 200));
	assert_null(range_table_find(&table, 99));
	assert_int_equal(range_table_find(&table, 399)->value, 4);
	range_table_done(&table);
}

static void test_cache_answers_and_stays_bounded(void **state)
{
	struct pprof_line line = {.name = "f", .system_name = "_Z1fv", .file = "f.cc", .line = 7};
	struct cache_answer in = {.lines = &line, .n = 1, .named = true}, out;
	struct cache *cache;

	assert_int_equal(cache_new(4096, &cache), 0);
	assert_false(cache_find(cache, 1, 0x10, &out));
	assert_int_equal(cache_add(cache, 1, 0x10, &in), 0);
	assert_true(cache_find(cache, 1, 0x10, &out));
	assert_int_equal(out.n, 1);
	assert_true(out.named);
	assert_string_equal(out.lines[0].system_name, "_Z1fv");
	assert_int_equal(out.lines[0].line, 7);
	assert_false(cache_find(cache, 2, 0x10, &out));
	for (uint64_t a = 0; a < 1000; a++) {
		assert_int_equal(cache_add(cache, 2, a, &in), 0);
		assert_true(cache_find(cache, 2, a, &out));
		assert_true(cache_bytes(cache) < 4096 + 1024);
	}
	cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_symbols),
		cmocka_unit_test(test_kernel_symbols_malformed),
		cmocka_unit_test(test_demangles),
		cmocka_unit_test(test_demangling_is_bounded),
		cmocka_unit_test(test_ranges_prefer_the_innermost),
		cmocka_unit_test(test_cache_answers_and_stays_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
