/*
 * Perf-maps: what is found at an address, and which names are shown.
 */
#include "daemon/scribe/perf_map.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/limits.h"

static struct perf_map *map_of(const char *text)
{
	int fd = memfd_create("perf-map", MFD_CLOEXEC);
	struct perf_map *map;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(perf_map_new(fd, &map), 0);
	close(fd);
	return map;
}

/* The name at @address; NULL: none. */
static const char *at(const struct perf_map *map, uint64_t address)
{
	static char name[PROFD_MAX_PERF_MAP_NAME + 1];
	struct symbol symbol = {};

	if (perf_map_find(map, address, &symbol) < 0)
		return NULL;
	assert_int_equal(symbol.n, 1);
	strcpy(name, symbol.lines[0].name);
	symbol_done(&symbol);
	return name;
}

static void names_what_lies_inside(void **state)
{
	struct perf_map *map = map_of("2000 10 JS:*two /a b.js:1:2\n1000 10 _Zone@home\n");

	assert_int_equal(perf_map_count(map), 2);
	assert_null(at(map, 0xfff));
	assert_string_equal(at(map, 0x1000), "_Zone@home");
	assert_string_equal(at(map, 0x100f), "_Zone@home");
	assert_null(at(map, 0x1010));
	assert_string_equal(at(map, 0x2008), "JS:*two /a b.js:1:2");
	assert_null(at(map, 0x2010));
	perf_map_free(map);
}

static void later_lines_win(void **state)
{
	struct perf_map *map =
		map_of("1000 40 old\n1010 10 inner\n1000 40 again\n1030 8 moved_here\n");

	assert_string_equal(at(map, 0x1000), "again");
	assert_string_equal(at(map, 0x1018), "again");
	assert_string_equal(at(map, 0x1034), "moved_here");
	assert_string_equal(at(map, 0x103f), "again");
	perf_map_free(map);
}

static void leaves_out_what_is_no_line(void **state)
{
	struct perf_map *map = map_of("\n \n-1 -1 a\n+10 10 b\n 10 10 c\nzz 1 e\n10\n"
				      "10 10\n10 10 \n10 0 f\nfffffffffffffff0 20 g\n"
				      "11111111111111111 1 h\n10 10 i\n10 10 cut");

	assert_int_equal(perf_map_count(map), 1);
	assert_string_equal(at(map, 0x10), "i");
	perf_map_free(map);
}

static void cleans_names(void **state)
{
	char text[8192] = "10 10 a\033[2J\tb\177c\n20 10 \303\244\342\202\254\360\237\230\200\n"
			  "30 10 \377\300\200\355\240\200\302\233x\n40 10 ";
	struct perf_map *map;
	size_t n = strlen(text);

	memset(text + n, 'l', 3000);
	strcpy(text + n + 3000, "\n");
	map = map_of(text);
	assert_string_equal(at(map, 0x10), "a?[2J?b?c");
	assert_string_equal(at(map, 0x20), "\303\244\342\202\254\360\237\230\200");
	assert_string_equal(at(map, 0x30), "????????x");
	assert_int_equal(strlen(at(map, 0x40)), PROFD_MAX_PERF_MAP_NAME);
	perf_map_free(map);
}

static void refuses_what_is_too_large(void **state)
{
	int fd = memfd_create("perf-map", MFD_CLOEXEC);
	struct perf_map *map;

	assert_int_equal(ftruncate(fd, PROFD_MAX_PERF_MAP_BYTES + 1), 0);
	assert_int_equal(perf_map_new(fd, &map), -EFBIG);
	close(fd);
}

/* Every piece reaches to the end, and none of the last ones holds the address. */
static void is_bounded_where_pieces_nest(void **state)
{
	const size_t n = 20000;
	char *text = malloc(n * 32), *end = text;
	struct perf_map *map;

	end += sprintf(end, "0 1000000 everywhere\n");
	for (size_t i = 0; i < n; i++)
		end += sprintf(end, "%zx 1 x\n", i * 2);
	map = map_of(text);
	assert_string_equal(at(map, 21), "everywhere");
	assert_null(at(map, 2 * n - 1)); /* it would take n steps */
	perf_map_free(map);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_what_lies_inside),
		cmocka_unit_test(later_lines_win),
		cmocka_unit_test(leaves_out_what_is_no_line),
		cmocka_unit_test(cleans_names),
		cmocka_unit_test(refuses_what_is_too_large),
		cmocka_unit_test(is_bounded_where_pieces_nest),
	};

	return cmocka_run_group_tests_name("scribe-perf-map", tests, NULL, NULL);
}
