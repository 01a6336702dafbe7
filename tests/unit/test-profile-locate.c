/* daemon/profile/locate: mappings and addresses for frames. */
#include "tests/unit/freeze-world.h"

#include "daemon/profile/layout.h"

static void test_addresses_are_where_the_module_was_seen(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_mapping m;

	world_init(&w, 2);
	add_one(&w, w.lib, 0x1234);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, &m).address, 0x7f0000000234);
	assert_int_equal(m.start, 0x7f0000000000);
	assert_int_equal(m.limit, 0x7f0000010000);
	assert_int_equal(m.file_offset, 0x1000);
	assert_string_equal(m.path, "/lib/libx.so");
	assert_false(m.symbolized);
	assert_int_equal(f.modules[0], w.lib->id);
	frozen_done(&f);
	world_done(&w);
}

static void test_places_of_the_process_come_first(void **state)
{
	struct world w;
	struct frozen f;
	struct freeze_place places[2];

	world_init(&w, 2);
	places[0] = (struct freeze_place){w.main->id, {0x660000000000, 0x660000001000, 0x1000}};
	places[1] = (struct freeze_place){w.main->id, {0x660000005000, 0x660000006000, 0x5000}};
	add_one(&w, w.main, 0x1010);
	add_one(&w, w.main, 0x5020);
	add_one(&w, w.lib, 0x1030);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .places = places, .n_places = 2});
	assert_int_equal(leaf(&f, 0, NULL).address, 0x660000000010);
	assert_int_equal(leaf(&f, 1, NULL).address, 0x660000005020);
	assert_int_equal(leaf(&f, 2, NULL).address, 0x7f0000000030);
	assert_int_equal(pprof_n_mappings(f.profile), 3);
	frozen_done(&f);
	world_done(&w);
}

static void test_main_module_is_the_first_mapping(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_mapping m;

	world_init(&w, 2);
	add_one(&w, w.lib, 0x1234);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .main_module = w.main->id});
	pprof_mapping(f.profile, 1, &m); /* though no frame is in it */
	assert_string_equal(m.path, "/usr/bin/thing");
	assert_int_equal(f.modules[0], w.main->id);
	assert_int_equal(f.modules[1], w.lib->id);
	frozen_done(&f);
	add_one(&w, w.main, 0x1010);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .main_module = w.main->id});
	pprof_mapping(f.profile, 1, &m);
	assert_string_equal(m.path, "/usr/bin/thing");
	assert_int_equal(pprof_n_mappings(f.profile), 2);
	frozen_done(&f);
	world_done(&w);
}

static void test_overlapping_modules_are_moved_apart(void **state)
{
	struct world w;
	struct frozen f;
	struct module *other[2];
	struct pprof_mapping m;

	world_init(&w, 2);
	other[0] = new_file(&w, "/usr/bin/other", 20, 0x7f0000008000); /* in part */
	other[1] = new_file(&w, "/usr/bin/third", 21, 0x7f0000000000);
	add_one(&w, w.lib, 0x9234);
	add_one(&w, other[0], 0x1234);
	add_one(&w, other[1], 0x9234);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, NULL).address, 0x7f0000008234);
	assert_int_equal(leaf(&f, 1, &m).address, LAYOUT_SYNTHETIC_BASE + 0x234);
	assert_int_equal(m.start, LAYOUT_SYNTHETIC_BASE);
	assert_int_equal(m.limit, LAYOUT_SYNTHETIC_BASE + 0x10000);
	assert_int_equal(leaf(&f, 2, NULL).address, LAYOUT_SYNTHETIC_BASE + 0x18234);
	assert_int_equal(leaf_offset(&f, 0), 0x9234);
	assert_int_equal(leaf_offset(&f, 1), 0x1234);
	assert_int_equal(leaf_offset(&f, 2), 0x9234);
	frozen_done(&f);
	world_done(&w);
}

/* Two programs at one place: not the same code, for all their names. */
static void test_equal_paths_are_not_enough(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	add_one(&w, w.lib, 0x1234);
	add_one(&w, new_file(&w, "/lib/libx.so", 99, 0x7f0000000000), 0x1234);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(pprof_n_mappings(f.profile), 2);
	assert_int_equal(leaf_offset(&f, 1), 0x1234);
	assert_int_not_equal(f.modules[0], f.modules[1]);
	frozen_done(&f);
	world_done(&w);
}

static void test_an_alias_is_its_elder(void **state)
{
	struct world w;
	struct frozen f;
	struct module *alias;
	struct freeze_place place;

	world_init(&w, 2);
	alias = new_file(&w, "/lib/libx.so", 99, 0);
	assert_int_not_equal(alias->id, w.lib->id);
	alias->alias_of = w.lib;
	place = (struct freeze_place){alias->id, {0x7e0000000000, 0x7e0000010000, 0x1000}};
	add_one(&w, w.lib, 0x1234);
	add_one(&w, alias, 0x1234);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .places = &place, .n_places = 1});
	assert_int_equal(pprof_n_mappings(f.profile), 1);
	assert_int_equal(pprof_n_locations(f.profile), 1);
	assert_int_equal(f.modules[0], w.lib->id);
	assert_int_equal(leaf(&f, 1, NULL).address, 0x7e0000000234);
	frozen_done(&f);
	world_done(&w);
}

static void test_kernel_addresses_stay(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_mapping m;

	world_init(&w, 2);
	add_one(&w, w.kernel, 0xffffffff81234567);
	add_one(&w, w.kernel, 0xffffffffc0000010); /* a module, far away */
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, &m).address, 0xffffffff81234567);
	assert_int_equal(leaf(&f, 1, &m).address, 0xffffffffc0000010);
	assert_int_equal(pprof_n_mappings(f.profile), 1);
	assert_string_equal(m.path, "[kernel.kallsyms]");
	assert_int_equal(m.start, 0xffffffff81234000);
	assert_int_equal(m.limit, 0xffffffffc0001000);
	assert_int_equal(leaf_offset(&f, 0), 0xffffffff81234567);
	frozen_done(&f);
	world_done(&w);
}

static void test_jit_code_is_mapped_around_files(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_mapping m;

	world_init(&w, 2);
	add_one(&w, w.lib, 0x1000);
	add_one(&w, w.jit, 0x7f0000000000 - 0x100); /* on either side of the library */
	add_one(&w, w.jit, 0x7f0000010000 + 0x100);
	add_one(&w, w.jit, 0x7f0000010000 + 0x5000);
	add_one(&w, w.jit, 0x100000);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, NULL).address, 0x7f0000000000);
	assert_int_equal(leaf(&f, 1, &m).address, 0x7efffffffF00);
	assert_string_equal(m.path, "//anon");
	assert_int_equal(m.limit, 0x7f0000000000);
	assert_int_equal(leaf(&f, 2, &m).address, 0x7f0000010100);
	assert_int_equal(m.start, 0x7f0000010000);
	assert_int_equal(m.limit, 0x7f0000016000);
	assert_int_equal(leaf(&f, 3, NULL).mapping, leaf(&f, 2, NULL).mapping);
	assert_int_equal(leaf(&f, 4, NULL).address, 0x100000);
	assert_int_equal(pprof_n_mappings(f.profile), 4);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(f.modules[i], w.jit->id);
	frozen_done(&f);
	world_done(&w);
}

static void test_jit_code_of_two_processes(void **state)
{
	struct world w;
	struct frozen f;
	struct module *other;

	world_init(&w, 2);
	other = module_get_jit(w.modules, 78);
	add_one(&w, w.jit, 0x200123);
	add_one(&w, other, 0x200123);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, NULL).address, 0x200123);
	assert_int_equal(leaf(&f, 1, NULL).address, LAYOUT_SYNTHETIC_BASE + 0x123);
	assert_int_equal(leaf_offset(&f, 1), 0x200123); /* what its perf map knows */
	frozen_done(&f);
	world_done(&w);
}

static void test_scattered_jit_code_costs_a_bounded_number_of_mappings(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	for (uint64_t i = 1; i <= 500; i++)
		add_one(&w, w.jit, i << 32);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(pprof_n_mappings(f.profile), 64);
	for (uint64_t i = 1; i <= 500; i++)
		assert_int_equal(leaf(&f, i - 1, NULL).address, i << 32);
	frozen_done(&f);
	world_done(&w);
}

static void test_notes_and_unknown_modules(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_location l;
	struct pprof_line line;
	struct pprof_sample s;

	world_init(&w, 2);
	add_one(&w, w.note, 0);
	add_one(&w, NULL, 0x1234567);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	l = leaf(&f, 0, NULL);
	assert_int_equal(l.mapping, 0);
	assert_int_not_equal(l.address, 0);
	assert_int_equal(l.n_lines, 1);
	pprof_sample(f.profile, 0, &s);
	pprof_location_line(f.profile, s.locations[0], 0, &line);
	assert_string_equal(line.name, "[truncated]");
	l = leaf(&f, 1, NULL);
	assert_int_equal(l.mapping, 0);
	assert_int_equal(l.address, 0x1234567);
	assert_int_equal(l.n_lines, 0);
	frozen_done(&f);
	world_done(&w);
}

static void test_offsets_outside_of_all_places(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_mapping m;
	struct module *nowhere;

	world_init(&w, 2);
	nowhere = new_file(&w, "/lib/nowhere.so", 30, 0);
	nowhere->n_segments = 1;
	nowhere->segments[0] = (struct module_segment){0x400000, 0x1000, 0x2000};
	add_one(&w, nowhere, 0x2010); /* by program header */
	add_one(&w, w.lib, 0x999999);
	add_one(&w, w.lib, 0x0);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(leaf(&f, 0, &m).address, 0x400010);
	assert_int_equal(leaf(&f, 1, &m).address - m.start + m.file_offset, 0x999999);
	assert_string_equal(m.path, "/lib/libx.so");
	assert_int_equal(leaf_offset(&f, 2), 0);
	frozen_done(&f);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_where_the_module_was_seen),
		cmocka_unit_test(test_places_of_the_process_come_first),
		cmocka_unit_test(test_main_module_is_the_first_mapping),
		cmocka_unit_test(test_overlapping_modules_are_moved_apart),
		cmocka_unit_test(test_equal_paths_are_not_enough),
		cmocka_unit_test(test_an_alias_is_its_elder),
		cmocka_unit_test(test_kernel_addresses_stay),
		cmocka_unit_test(test_jit_code_is_mapped_around_files),
		cmocka_unit_test(test_jit_code_of_two_processes),
		cmocka_unit_test(test_scattered_jit_code_costs_a_bounded_number_of_mappings),
		cmocka_unit_test(test_notes_and_unknown_modules),
		cmocka_unit_test(test_offsets_outside_of_all_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
