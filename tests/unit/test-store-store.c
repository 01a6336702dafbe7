/* Names, and what retention may and may not delete. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/store/store.h"
#include "profd/base.h"

static char dir[64];

static int make_dir(void **state)
{
	strcpy(dir, "/tmp/test-store-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void touch(const char *name, size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (size_t i = 0; i < bytes; i += 4096) {
		static const char page[4096];

		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	close(fd);
}

static bool there(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static int retain(const struct store_limits *limits)
{
	struct store *s;
	int n;

	assert_int_equal(store_new(dir, limits, &s), 0);
	n = store_retain(s);
	store_free(s);
	return n;
}

static void test_names(void **state)
{
	char name[STORE_NAME_BYTES];
	size_t target;

	store_name("heap", "my app/x", 42, 1795230764123000000, name, sizeof(name));
	assert_string_equal(name, "heap_my_app_x_42_20261121T031244.123Z.pb.gz");
	assert_true(store_parse_name(name, &target));
	assert_int_equal(target, strlen("heap_my_app_x_42"));
	store_name("cpu", "", 0, 1795230764123000000, name, sizeof(name));
	assert_string_equal(name, "cpu_20261121T031244.123Z.pb.gz");
	assert_true(store_parse_name(name, &target));
	store_name("offcpu", "", 0, 1795230764123000000, name, sizeof(name));
	assert_true(store_parse_name(name, &target));
	assert_false(store_parse_name("heap_x_42_20261121T031244.123Z.pb.gz.tmp", &target));
	assert_false(store_parse_name("notes_20261121T031244.123Z.pb.gz", &target));
	assert_false(store_parse_name("heap_x_42_2026112AT031244.123Z.pb.gz", &target));
	assert_false(store_parse_name("_20261121T031244.123Z.pb.gz", &target));
}

static void test_oldest_go_first_and_the_newest_of_each_stays(void **state)
{
	touch("heap_a_1_20260101T000000.000Z.pb.gz", 0);
	touch("heap_a_1_20260101T000001.000Z.pb.gz", 0);
	touch("heap_a_1_20260101T000002.000Z.pb.gz", 0);
	touch("heap_b_2_20250101T000000.000Z.pb.gz", 0); /* older than all, but b's only one */
	assert_int_equal(retain(&(struct store_limits){.max_files = 2}), 2);
	assert_true(there("heap_b_2_20250101T000000.000Z.pb.gz"));
	assert_true(there("heap_a_1_20260101T000002.000Z.pb.gz"));
	assert_false(there("heap_a_1_20260101T000000.000Z.pb.gz"));
}

static void test_a_longer_name_is_another_target(void **state)
{
	touch("heap_a_1_20260101T000000.000Z.pb.gz", 0);
	touch("heap_a_11_20260101T000001.000Z.pb.gz", 0);
	assert_int_equal(retain(&(struct store_limits){.max_files = 1}), 0);
}

static void test_foreign_files_stay(void **state)
{
	touch("mine.pb.gz", 0);
	touch("heap_notes.txt", 0);
	touch("cpu_20260101T000000.000Z.pb.gz", 8192);
	touch("cpu_20260101T000001.000Z.pb.gz", 8192);
	assert_int_equal(retain(&(struct store_limits){.max_bytes = 1}), 1);
	assert_true(there("mine.pb.gz") && there("heap_notes.txt"));
	assert_true(there("cpu_20260101T000001.000Z.pb.gz"));
}

static void test_age_is_measured_between_profiles(void **state)
{
	touch("cpu_19700101T000000.000Z.pb.gz", 0); /* a clock that was wrong */
	touch("cpu_19700101T000100.000Z.pb.gz", 0);
	assert_int_equal(retain(&(struct store_limits){.max_age_ns = 3600 * NSEC_PER_SEC}), 0);
	touch("cpu_19700101T020000.000Z.pb.gz", 0);
	assert_int_equal(retain(&(struct store_limits){.max_age_ns = 3600 * NSEC_PER_SEC}), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_oldest_go_first_and_the_newest_of_each_stays,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_longer_name_is_another_target, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_foreign_files_stay, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_age_is_measured_between_profiles, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
