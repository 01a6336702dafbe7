/*
 * Names, and what retention may and may not delete: whose file makes room, and
 * that no clock that jumps has a say in it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store/store.h"
#include "profd/base.h"
#include "profd/limits.h"
#include "proto/publish.h"

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
	char path[1300];
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
	char path[1300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

#define HOUR_NS ((int64_t)(3600 * NSEC_PER_SEC))
#define DAY_NS	(24 * HOUR_NS)
#define NOON_NS (1795262400 * (int64_t)NSEC_PER_SEC) /* 2026-11-21 */

static int retain(const struct store_limits *limits)
{
	struct store *s;
	int n;

	assert_int_equal(store_new(dir, limits, &s), 0);
	n = store_retain(s);
	store_free(s);
	return n;
}

/* ---- names */

static void test_names(void **state)
{
	char name[STORE_NAME_BYTES];
	struct store_parts parts;

	store_name("heap", "my app/x", 42, 1795230764123000000, name, sizeof(name));
	assert_string_equal(name, "heap_my_app_x_42_20261121T031244.123Z.pb.gz");
	assert_true(store_parse_name(name, &parts));
	assert_int_equal(parts.target_bytes, strlen("heap_my_app_x_42"));
	assert_int_equal(parts.program_bytes, strlen("heap_my_app_x"));
	assert_int_equal(parts.pid, 42);
	store_name("cpu", "", 0, 1795230764123000000, name, sizeof(name));
	assert_string_equal(name, "cpu_20261121T031244.123Z.pb.gz");
	assert_true(store_parse_name(name, &parts));
	assert_int_equal(parts.pid, 0);
	store_name("offcpu", "", 0, 1795230764123000000, name, sizeof(name));
	assert_true(store_parse_name(name, &parts));
	store_name("trace", "", 0, 1795230764123000000, name, sizeof(name));
	assert_string_equal(name, "trace_20261121T031244.123Z.json.gz");
	assert_true(store_parse_name(name, &parts));
}

static void test_names_of_any_comm_are_plain_files(void **state)
{
	static const char *const comms[] = {
		"/",
		"..",
		".",
		"",
		"\n",
		"a\nb",
		"../../etc/pass",
		"\xc3\xa4\xf0\x9f\x98\x80",
		"-rf",
		"a b",
		"_1_2_3",
		"\x7f\x1b[2J",
		"123",
		"%s%n",
		"heap_x_1_2026",
	};

	for (size_t i = 0; i < ARRAY_SIZE(comms); i++) {
		char name[STORE_NAME_BYTES];
		struct store_parts parts;

		store_name("heap", comms[i], 7, NOON_NS, name, sizeof(name));
		assert_null(strpbrk(name, "/\n \x1b%"));
		assert_int_equal(strncmp(name, "heap_", 5), 0);
		assert_true(store_parse_name(name, &parts));
		assert_int_equal(parts.pid, 7);
	}
}

static void test_nothing_else_is_a_name_of_ours(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"..",
		"heap",
		"_20261121T031244.123Z.pb.gz",
		"trace_20261121T031244.123Z.pb.gz",
		"cpu_20261121T031244.123Z.json.gz",
		"20261121T031244.123Z.pb.gz",
		"heap_x_42_20261121T031244.123Z.pb.gz.tmp",
		"heap_x_42_20261121T031244.123Z.pb",
		"notes_20261121T031244.123Z.pb.gz",
		"heap_x_42_2026112AT031244.123Z.pb.gz",
		"heap_x_42_20261321T031244.123Z.pb.gz",
		"heap_x_42_20261100T031244.123Z.pb.gz",
		"heap_x_42_20261121T241244.123Z.pb.gz",
		"heap_20261121T031244.123Z.pb.gz",
		"heap_42_20261121T031244.123Z.pb.gz",
		"heap_x_20261121T031244.123Z.pb.gz",
		"heap__42_20261121T031244.123Z.pb.gz",
		"heap_x_042_20261121T031244.123Z.pb.gz",
		"heap_x_-4_20261121T031244.123Z.pb.gz",
		"heap_x_4294967296_20261121T031244.123Z.pb.gz",
		"heap_a b_42_20261121T031244.123Z.pb.gz",
		"heap_.x_42_20261121T031244.123Z.pb.gz",
		"cpu_x_42_20261121T031244.123Z.pb.gz",
		"cpu_mine_20261121T031244.123Z.pb.gz",
		"xcpu_20261121T031244.123Z.pb.gz",
		"cpu_20261121T031244.123Z.PB.GZ",
		"heap_abcdefghijklmnopqrstuvwxyz0123456_42_20261121T031244.123Z.pb.gz",
	};
	struct store_parts parts;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (store_parse_name(names[i], &parts))
			fail_msg("%s", names[i]);
}

/* ---- what goes and what stays */

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
	char path[1300], target[1300];

	touch("mine.pb.gz", 0);
	touch("heap_notes.txt", 0);
	touch("precious", 8192);
	snprintf(target, sizeof(target), "%s/precious", dir);
	snprintf(path, sizeof(path), "%s/cpu_20250101T000000.000Z.pb.gz", dir);
	assert_int_equal(symlink(target, path), 0);
	snprintf(path, sizeof(path), "%s/cpu_20250101T000001.000Z.pb.gz", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/cpu_20250101T000002.000Z.pb.gz", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	touch("cpu_20260101T000000.000Z.pb.gz", 8192);
	touch("cpu_20260101T000001.000Z.pb.gz", 8192);
	assert_int_equal(retain(&(struct store_limits){.max_bytes = 1}), 1);
	assert_true(there("mine.pb.gz") && there("heap_notes.txt") && there("precious"));
	assert_true(there("cpu_20260101T000001.000Z.pb.gz"));
	assert_true(there("cpu_20250101T000000.000Z.pb.gz"));
	assert_true(there("cpu_20250101T000001.000Z.pb.gz"));
	assert_true(there("cpu_20250101T000002.000Z.pb.gz"));
}

/* By the name anybody's, by its owner not ours. */
static void test_files_of_other_users_stay(void **state)
{
	char path[1300];

	if (geteuid() != 0) {
		print_message("skip: needs root\n");
		skip();
	}
	touch("cpu_20260101T000000.000Z.pb.gz", 0);
	snprintf(path, sizeof(path), "%s/cpu_20260101T000000.000Z.pb.gz", dir);
	assert_int_equal(chown(path, 65534, 65534), 0);
	touch("cpu_20260101T000001.000Z.pb.gz", 0);
	touch("cpu_20260101T000002.000Z.pb.gz", 0);
	assert_int_equal(retain(&(struct store_limits){.max_files = 1}), 1);
	assert_true(there("cpu_20260101T000000.000Z.pb.gz"));
	assert_false(there("cpu_20260101T000001.000Z.pb.gz"));
}

static unsigned count(const char *program, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		char name[STORE_NAME_BYTES];

		store_name("heap", program, 1, NOON_NS + i * (int64_t)NSEC_PER_SEC, name,
			   sizeof(name));
		found += there(name);
	}
	return found;
}

static void make(const char *program, unsigned n, size_t bytes)
{
	for (unsigned i = 0; i < n; i++) {
		char name[STORE_NAME_BYTES];

		store_name("heap", program, 1, NOON_NS + i * (int64_t)NSEC_PER_SEC, name,
			   sizeof(name));
		touch(name, bytes);
	}
}

static void test_the_noisy_make_room_out_of_their_own(void **state)
{
	make("quiet", 5, 0); /* the oldest by name and by time */
	make("middle", 20, 0);
	make("noisy", 200, 0);
	assert_int_equal(retain(&(struct store_limits){.max_files = 30}), 195);
	assert_int_equal(count("quiet", 5), 5);
	assert_in_range(count("middle", 20), 12, 13);
	assert_in_range(count("noisy", 200), 12, 13);
}

static void test_the_large_make_room_out_of_their_own(void **state)
{
	make("small", 10, 4096);
	make("large", 10, 65536);
	assert_true(retain(&(struct store_limits){.max_bytes = 300000}) > 0);
	assert_int_equal(count("small", 10), 10);
	assert_in_range(count("large", 10), 2, 4);
}

/* Many pids of one name are one program, and of those that have ended only so many
 * have a file that always stays. */
static void test_a_storm_of_processes_is_one_program(void **state)
{
	const unsigned n = PROFD_MAX_KEPT_TARGETS + 100;

	make("quiet", 3, 0);
	for (unsigned i = 0; i < n; i++) {
		char name[STORE_NAME_BYTES];

		store_name("heap", "storm", 2000000000 + (int)i,
			   NOON_NS + i * (int64_t)NSEC_PER_SEC, name, sizeof(name));
		touch(name, 0);
	}
	assert_int_equal(retain(&(struct store_limits){.max_files = 10}), 100 + 2);
	assert_true(there("heap_quiet_1_20261121T120002.000Z.pb.gz")); /* pid 1 runs */
}

/* ---- time */

static struct store_time at(uint64_t boot_s, int64_t unix_ns)
{
	return (struct store_time){.boot_ns = boot_s * NSEC_PER_SEC, .unix_ns = unix_ns};
}

/* As the scribe does: a file with the wall clock's time, and a name that says so. */
static void publish(struct store *s, const struct store_time *now, char *ret_name)
{
	struct timeval times[2] = {{.tv_sec = now->unix_ns / (int64_t)NSEC_PER_SEC},
				   {.tv_sec = now->unix_ns / (int64_t)NSEC_PER_SEC}};
	char path[1300];

	store_name("cpu", "", 0, now->unix_ns, ret_name, STORE_NAME_BYTES);
	touch(ret_name, 0);
	snprintf(path, sizeof(path), "%s/%s", dir, ret_name);
	assert_int_equal(utimes(path, times), 0);
	if (s)
		store_note_at(s, ret_name, now);
}

static const struct store_limits week = {.max_age_ns = 7 * DAY_NS};

static struct store *open_at(const struct store_limits *limits, struct store_time now)
{
	struct store *s;

	assert_int_equal(store_new_at(dir, limits, &now, &s), 0);
	return s;
}

static int retain_at(struct store *s, struct store_time now)
{
	return store_retain_at(s, &now);
}

static void test_age_counts_while_profd_runs(void **state)
{
	struct store_time now = at(100, NOON_NS);
	struct store *s = open_at(&week, now);
	char first[STORE_NAME_BYTES], second[STORE_NAME_BYTES];

	publish(s, &now, first);
	now = at(100 + 6 * 86400, NOON_NS + 6 * DAY_NS);
	publish(s, &now, second);
	assert_int_equal(retain_at(s, now), 0);
	now = at(101 + 7 * 86400, NOON_NS + 7 * DAY_NS + 1);
	assert_int_equal(retain_at(s, now), 1);
	assert_true(!there(first) && there(second));
	now = at(100 + 900 * 86400ULL, NOON_NS + 900 * DAY_NS);
	assert_int_equal(retain_at(s, now), 0); /* the newest stays */
	store_free(s);
}

/* The wall clock is @jump off for a while, in which @n profiles are written, and
 * then right again; with a restart of profd before, in between and after. Nothing is
 * deleted, and the order is that of writing: a limit on their number takes the
 * first ones. */
static void check_jump(int64_t jump_ns, unsigned restarts)
{
	const struct store_limits limits = {.max_age_ns = 7 * DAY_NS};
	char names[9][STORE_NAME_BYTES];
	struct store *s = open_at(&limits, at(100, NOON_NS));

	for (unsigned i = 0; i < 9; i++) {
		bool off = i >= 3 && i < 6;
		uint64_t boot_s = 100 + 10 * i;
		struct store_time now = at(boot_s, (off ? NOON_NS + jump_ns : NOON_NS) +
							   10 * i * (int64_t)NSEC_PER_SEC);

		if (restarts & (1u << i)) {
			store_free(s);
			s = open_at(&limits, now);
		}
		publish(s, &now, names[i]);
		assert_int_equal(retain_at(s, now), 0);
	}
	store_free(s);
	s = open_at(&limits, at(700, NOON_NS + 700 * (int64_t)NSEC_PER_SEC));
	assert_int_equal(retain_at(s, at(701, NOON_NS + 701 * (int64_t)NSEC_PER_SEC)), 0);
	store_set_limits(s, &(struct store_limits){.max_files = 2});
	assert_int_equal(retain_at(s, at(702, NOON_NS + 702 * (int64_t)NSEC_PER_SEC)), 7);
	store_free(s);
	for (unsigned i = 0; i < 9; i++) {
		if (there(names[i]) != (i >= 7))
			fail_msg("jump of %lld s, restarts %#x: %s",
				 (long long)(jump_ns / 1000000000), restarts, names[i]);
		if (i >= 7) {
			char path[1300];

			snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
			unlink(path);
		}
	}
}

static void test_jumps_of_the_clock_delete_and_reorder_nothing(void **state)
{
	static const int64_t jumps[] = {DAY_NS,	  -DAY_NS,     4 * 365 * DAY_NS,
					-NOON_NS, HOUR_NS / 2, 25 * (int64_t)NSEC_PER_SEC};
	static const unsigned restarts[] = {0, 1u << 3, 1u << 4, 1u << 6, 1u << 3 | 1u << 6, 0x1ff};

	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++)
		for (size_t j = 0; j < ARRAY_SIZE(restarts); j++)
			check_jump(jumps[i], restarts[j]);
}

/* Killed before it could put the file's time right. */
static void test_a_file_from_the_future_ages_nobody(void **state)
{
	struct store_time future = at(0, NOON_NS + 4 * 365 * DAY_NS), now = at(0, NOON_NS);
	char names[3][STORE_NAME_BYTES];
	struct store *s;

	publish(NULL, &now, names[0]);
	publish(NULL, &future, names[1]);
	s = open_at(&week, at(50, NOON_NS));
	now = at(60, NOON_NS + 60 * (int64_t)NSEC_PER_SEC);
	publish(s, &now, names[2]);
	assert_int_equal(retain_at(s, now), 0);
	store_free(s);
	s = open_at(&week, at(70, NOON_NS));
	assert_int_equal(retain_at(s, at(80, NOON_NS)), 0);
	store_free(s);
}

static void test_what_comes_unannounced_is_found(void **state)
{
	struct store *s = open_at(&(struct store_limits){.max_files = 2}, at(100, NOON_NS));

	for (unsigned i = 0; i < 4; i++) {
		struct store_time now = at(200, NOON_NS + i);
		char name[STORE_NAME_BYTES];

		now.unix_ns += i * (int64_t)NSEC_PER_SEC;
		publish(NULL, &now, name);
	}
	assert_int_equal(retain_at(s, at(300, NOON_NS)), 2);
	assert_true(there("cpu_20261121T120003.000Z.pb.gz"));
	assert_false(there("cpu_20261121T120000.000Z.pb.gz"));
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_of_any_comm_are_plain_files),
		cmocka_unit_test(test_nothing_else_is_a_name_of_ours),
		cmocka_unit_test_setup_teardown(test_oldest_go_first_and_the_newest_of_each_stays,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_longer_name_is_another_target, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_foreign_files_stay, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_files_of_other_users_stay, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_the_noisy_make_room_out_of_their_own, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_the_large_make_room_out_of_their_own, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_a_storm_of_processes_is_one_program, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_age_counts_while_profd_runs, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_jumps_of_the_clock_delete_and_reorder_nothing,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_file_from_the_future_ages_nobody, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_what_comes_unannounced_is_found, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
