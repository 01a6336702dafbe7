/* daemon/proc/mapping: what each process has mapped, as records tell it. */
#include "tests/unit/process-world.h"

static void unmap(pid_t pid, uint64_t start, uint64_t end)
{
	struct process_mmap m = {
		.pid = pid, .start = start, .bytes = end - start, .path = "", .executable = false};

	process_on_mmap(table, &m);
}

static void check_map(size_t i, uint64_t start, uint64_t end, uint64_t offset, const char *path)
{
	const struct process *p = process_peek(table, PID);

	assert_true(i < p->n_maps);
	assert_int_equal(p->maps[i].start, start);
	assert_int_equal(p->maps[i].end, end);
	assert_int_equal(p->maps[i].file_offset, offset);
	assert_string_equal(p->maps[i].module->path, path);
}

static void test_new_mapping_cuts_the_old(void **state)
{
	process_on_comm(table, PID, PID, "x", true, 1);
	map(PID, 0x1000, 0x9000, "/a");
	map(PID, 0x3000, 0x4000, "/b"); /* a hole in the middle */
	check_map(0, 0x1000, 0x3000, 0x10000, "/a");
	check_map(1, 0x3000, 0x4000, 0x10000, "/b");
	check_map(2, 0x4000, 0x9000, 0x13000, "/a");
	map(PID, 0x2000, 0x5000, "/c"); /* an end, a whole, a start */
	check_map(0, 0x1000, 0x2000, 0x10000, "/a");
	check_map(1, 0x2000, 0x5000, 0x10000, "/c");
	check_map(2, 0x5000, 0x9000, 0x14000, "/a");
	unmap(PID, 0x1000, 0x9000);
	assert_int_equal(process_peek(table, PID)->n_maps, 0);
}

static void test_find_map_knows_the_bounds(void **state)
{
	const struct process *p;

	process_on_comm(table, PID, PID, "x", true, 1);
	map(PID, 0x5000, 0x6000, "/b");
	map(PID, 0x1000, 0x2000, "/a");
	p = process_peek(table, PID);
	assert_null(process_find_map(p, 0xfff));
	assert_ptr_equal(process_find_map(p, 0x1000), &p->maps[0]);
	assert_ptr_equal(process_find_map(p, 0x1fff), &p->maps[0]);
	assert_null(process_find_map(p, 0x2000));
	assert_ptr_equal(process_find_map(p, 0x5fff), &p->maps[1]);
	assert_null(process_find_map(p, UINT64_MAX));
}

static void test_code_without_a_file_is_one_module(void **state)
{
	process_on_comm(table, PID, PID, "node", true, 1);
	map(PID, 0x100000, 0x101000, "/a");
	map(PID, 0x101000, 0x102000, "/a");
	assert_int_equal(process_peek(table, PID)->n_maps, 2); /* pieces of a file stay apart */
	unmap(PID, 0x100000, 0x102000);
	map(PID, 0x1000, 0x2000, "//anon");
	map(PID, 0x3000, 0x4000, "/dev/zero (deleted)");
	map(PID, 0x2000, 0x3000, "");
	check_map(0, 0x1000, 0x4000, 0x1000, "[jit]"); /* offsets are addresses */
	assert_int_equal(process_peek(table, PID)->n_maps, 1);
	assert_int_equal(process_peek(table, PID)->maps[0].module->pid, PID);
	map(PID, 0x7fff00000000, 0x7fff00002000, "[vdso]");
	check_map(1, 0x7fff00000000, 0x7fff00002000, 0, "[vdso]");
	map(PID, 0xffffffffff600000, 0xffffffffff601000, "[vsyscall]");
	assert_int_equal(process_peek(table, PID)->n_maps, 2);
}

static void test_mappings_have_a_limit(void **state)
{
	process_on_comm(table, PID, PID, "x", true, 1);
	for (uint64_t i = 0; i <= PROFD_MAX_MAPPINGS; i++)
		map(PID, i * 0x2000, i * 0x2000 + 0x1000, "/a");
	assert_int_equal(process_peek(table, PID)->n_maps, PROFD_MAX_MAPPINGS);
	assert_int_equal(process_table_refused(table), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_new_mapping_cuts_the_old),
		T(test_find_map_knows_the_bounds),
		T(test_code_without_a_file_is_one_module),
		T(test_mappings_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
