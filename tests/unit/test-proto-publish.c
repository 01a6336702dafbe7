/*
 * Publishing: a name stands for a whole file or does not stand at all, also
 * when the writer is killed; nothing is replaced; names and stamps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "profd/base.h"
#include "proto/publish.h"

#define N_KILLS 200
#define FILE_BYTES (64 * 1024)

static char dir_path[64];
static int dir_fd = -1;

static int set_up(void **state)
{
	strcpy(dir_path, "/tmp/test-publish-XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

/* Calls @each for every file, hidden ones too; returns their number. */
static unsigned each_file(void (*each)(const char *name))
{
	DIR *dir = opendir(dir_path);
	struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (each)
			each(entry->d_name);
		n++;
	}
	closedir(dir);
	return n;
}

static void remove_file(const char *name)
{
	unlinkat(dir_fd, name, 0);
}

static int tear_down(void **state)
{
	each_file(remove_file);
	close(dir_fd);
	return rmdir(dir_path);
}

/* A valid file: its size, and every byte the same. */
static void write_valid(int fd, char byte)
{
	char block[4096];

	memset(block, byte, sizeof(block));
	for (unsigned i = 0; i < FILE_BYTES / sizeof(block); i++)
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			abort();
}

static void check_valid(const char *name)
{
	static char bytes[FILE_BYTES + 1];
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), FILE_BYTES);
	for (unsigned i = 0; i < FILE_BYTES; i++)
		assert_int_equal(bytes[i], bytes[0]);
}

static void publish_one(const char *name, char byte, int expected)
{
	_cleanup_close_ int fd = publish_open(dir_fd, 0640);

	assert_true(fd >= 0);
	write_valid(fd, byte);
	assert_int_equal(publish_link(dir_fd, fd, name), expected);
}

static void test_publishes_with_mode(void **state)
{
	mode_t before = umask(077);
	struct stat st;

	publish_one("a", 'a', 0);
	umask(before);
	check_valid("a");
	assert_int_equal(fstatat(dir_fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_nlink, 1);
}

static void test_never_replaces(void **state)
{
	_cleanup_close_ int fd = -1;
	char byte;

	publish_one("a", 'a', 0);
	publish_one("a", 'b', -EEXIST);
	fd = openat(dir_fd, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(each_file(NULL), 1);
}

static void test_refuses_paths(void **state)
{
	publish_one("", 'a', -EINVAL);
	publish_one("../a", 'a', -EINVAL);
	publish_one("b/a", 'a', -EINVAL);
	assert_int_equal(each_file(NULL), 0);
}

static void test_unpublished_leaves_nothing(void **state)
{
	int fd = publish_open(dir_fd, 0640);

	assert_true(fd >= 0);
	write_valid(fd, 'a');
	assert_int_equal(each_file(NULL), 0);
	close(fd);
	assert_int_equal(each_file(NULL), 0);
}

static void test_reports_errors(void **state)
{
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(publish_open(file, 0640), -ENOTDIR);
	assert_true(publish_open(proc, 0640) < 0);
	assert_int_equal(publish_open(-1, 0640), -EBADF);
}

/* Publishes without end until it is killed. */
static void publish_forever(unsigned round)
{
	char name[64];

	for (unsigned i = 0;; i++) {
		int fd = publish_open(dir_fd, 0640);

		write_valid(fd, (char)('a' + i % 26));
		snprintf(name, sizeof(name), "%u-%u", round, i);
		if (publish_link(dir_fd, fd, name) < 0)
			abort();
		close(fd);
	}
}

static void test_killed_writers_leave_whole_files(void **state)
{
	unsigned files = 0;

	srand(1);
	for (unsigned i = 0; i < N_KILLS; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			publish_forever(i);
		usleep((useconds_t)(rand() % 3000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		files += each_file(check_valid);
		each_file(remove_file);
	}
	print_message("%u writers killed, %u files published, all whole\n", N_KILLS, files);
	assert_true(files > 0);
}

static void test_taken_names_move_on(void **state)
{
	char name[] = "heap_x_1_20261231T235959.998Z.pb.gz";

	for (unsigned i = 0; i < 3; i++) {
		static const char *const expected[] = {
			"heap_x_1_20261231T235959.998Z.pb.gz",
			"heap_x_1_20261231T235959.999Z.pb.gz",
			"heap_x_1_20270101T000000.000Z.pb.gz",
		};
		_cleanup_close_ int fd = publish_open(dir_fd, 0640);

		strcpy(name, expected[0]);
		write_valid(fd, 'x');
		assert_int_equal(publish_link_next(dir_fd, fd, name), 0);
		assert_string_equal(name, expected[i]);
		check_valid(name);
	}
	assert_int_equal(each_file(NULL), 3);
}

static void test_taken_names_without_stamp_fail(void **state)
{
	static const char *const names[] = {"a", "x.pb.gz", "cpu_20261231T235959,998Z.pb.gz",
					    "cpu_2026x231T235959.998Z.pb.gz",
					    "cpu_99991231T235959.998Z.pb.gz"};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = publish_open(dir_fd, 0640);

		publish_one(names[i], 'a', 0);
		strcpy(name, names[i]);
		assert_int_equal(publish_link_next(dir_fd, fd, name), -EEXIST);
		assert_string_equal(name, names[i]);
	}
}

static void test_gives_up_after_a_bounded_number(void **state)
{
	char name[64] = "cpu_20260101T000000.000Z.pb.gz";
	int64_t start = 1767225600LL * 1000;

	for (int64_t ms = start; ms <= start + PUBLISH_TRIES; ms++) {
		char stamp[PUBLISH_STAMP_BYTES], taken[64];

		publish_stamp(ms * 1000000, stamp, sizeof(stamp));
		snprintf(taken, sizeof(taken), "cpu_%s.pb.gz", stamp);
		close(openat(dir_fd, taken, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
	}
	{
		_cleanup_close_ int fd = publish_open(dir_fd, 0640);

		assert_int_equal(publish_link_next(dir_fd, fd, name), -EEXIST);
		assert_string_equal(name, "cpu_20260101T000000.000Z.pb.gz");
	}
}

static void check_stamp(int64_t unix_ns, const char *expected)
{
	char stamp[PUBLISH_STAMP_BYTES];

	publish_stamp(unix_ns, stamp, sizeof(stamp));
	assert_string_equal(stamp, expected);
}

static void test_stamps(void **state)
{
	check_stamp(0, "19700101T000000.000Z");
	check_stamp(1795230764123999999LL, "20261121T031244.123Z");
	check_stamp(-1, "19691231T235959.999Z");
	check_stamp(-1000000, "19691231T235959.999Z");
	check_stamp(-1000001, "19691231T235959.998Z");
	check_stamp(-1000000000, "19691231T235959.000Z");
	check_stamp(INT64_MAX, "22620411T234716.854Z");
}

static void check_clean(const char *comm, size_t size, const char *expected)
{
	char name[64];

	publish_clean(comm, name, size);
	assert_string_equal(name, expected);
}

static void test_cleans_names(void **state)
{
	check_clean("nginx", 64, "nginx");
	check_clean("Web Content", 64, "Web_Content");
	check_clean("../../etc/passwd", 64, "_._.._etc_passwd");
	check_clean("a\nb\xc3\xa4/", 64, "a_b___");
	check_clean(".hidden", 64, "_hidden");
	check_clean("kworker/0:1-x_y.z", 64, "kworker_0_1-x_y.z");
	check_clean("", 64, "_");
	check_clean("abcdef", 4, "abc");
	check_clean("abc", 1, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_publishes_with_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never_replaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unpublished_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reports_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_writers_leave_whole_files, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_taken_names_move_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_taken_names_without_stamp_fail, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_gives_up_after_a_bounded_number, set_up,
						tear_down),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_cleans_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
