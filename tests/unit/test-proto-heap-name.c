/* The names of tables: by socket, and told apart from what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/heap_name.h"

static void test_the_default_socket_has_the_short_name(void **state)
{
	char name[HEAP_NAME_BYTES];

	heap_name_of(DEFAULT_SOCKET_PATH, name);
	assert_string_equal(name, "profd-heap");
}

/* The hash of "foobar" is among the published vectors of FNV-1a. */
static void test_another_socket_has_its_hash(void **state)
{
	char name[HEAP_NAME_BYTES];

	heap_name_of("foobar", name);
	assert_string_equal(name, "profd-heap-bf9cf968");
	heap_name_of("", name);
	assert_string_equal(name, "profd-heap-811c9dc5");
}

static void test_tables_of_any_profd_are_known(void **state)
{
	assert_true(heap_name_is_mapped("/memfd:profd-heap (deleted)", NULL));
	assert_true(heap_name_is_mapped("/memfd:profd-heap-bf9cf968 (deleted)", NULL));
}

static void test_only_those_of_the_name_asked_for(void **state)
{
	const char *other = "/memfd:profd-heap-bf9cf968 (deleted)";

	assert_true(heap_name_is_mapped("/memfd:profd-heap (deleted)", "profd-heap"));
	assert_true(heap_name_is_mapped(other, "profd-heap-bf9cf968"));
	assert_false(heap_name_is_mapped(other, "profd-heap"));
	assert_false(heap_name_is_mapped("/memfd:profd-heap (deleted)", "profd-heap-bf9cf968"));
	assert_false(heap_name_is_mapped(other, "profd-heap-bf9cf969"));
}

static void test_what_looks_like_one_is_none(void **state)
{
	static const char *const paths[] = {
		"",
		"/memfd:",
		"profd-heap (deleted)",
		"/memfd:profd-heap",
		"/memfd:profd-heaps (deleted)",
		"/memfd:profd-heap- (deleted)",
		"/memfd:profd-heap-bf9cf96 (deleted)",
		"/memfd:profd-heap-bf9cf9680 (deleted)",
		"/memfd:profd-heap-BF9CF968 (deleted)",
		"/memfd:profd-heap (deleted) (deleted)",
		"/tmp/memfd:profd-heap (deleted)",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		assert_false(heap_name_is_mapped(paths[i], NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_default_socket_has_the_short_name),
		cmocka_unit_test(test_another_socket_has_its_hash),
		cmocka_unit_test(test_tables_of_any_profd_are_known),
		cmocka_unit_test(test_only_those_of_the_name_asked_for),
		cmocka_unit_test(test_what_looks_like_one_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
