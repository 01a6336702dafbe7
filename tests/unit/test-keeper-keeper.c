/*
 * The keeper: it never waits for a file that a target chose, never leaves the
 * target's root, and never lets a disk file pass for a heap table.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "daemon/keeper/keeper.h"
#include "profd/base.h"

#define NOBODY 5000000 /* above the kernel's largest pid_max */

static struct keeper *keeper;
static char dir[32], path[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/test-keeper-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return keeper_new_local(&keeper);
}

static int teardown(void **state)
{
	keeper_free(keeper);
	unlink(path);
	return rmdir(dir);
}

static void test_files_of_a_process(void **state)
{
	static const enum keeper_file files[] = {KEEPER_MAPS,	KEEPER_STAT,   KEEPER_STATM,
						 KEEPER_STATUS, KEEPER_CGROUP, KEEPER_TASK};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_close_ int fd = keeper_open_file(keeper, getpid(), files[i]);

		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
	assert_int_equal(keeper_open_file(keeper, NOBODY, KEEPER_STAT), -ENOENT);
	assert_int_equal(keeper_open_file(keeper, -1, KEEPER_STAT), -EINVAL);
	assert_int_equal(keeper_open_file(keeper, getpid(), (enum keeper_file)99), -EINVAL);
	assert_int_equal(keeper_open_machine(keeper, (enum keeper_machine)99), -EINVAL);
	assert_true(keeper_open_process(keeper, NOBODY) < 0);
}

static void test_does_not_wait_for_a_fifo(void **state)
{
	assert_int_equal(mkfifo(path, 0666), 0);
	/* No such mapping: it goes by the path, in the root of a living process
	 * and of one that has gone. */
	assert_int_equal(keeper_open_mapped(keeper, getpid(), 0x1000, 0x2000, path), -EINVAL);
	assert_int_equal(keeper_open_mapped(keeper, NOBODY, 0x1000, 0x2000, path), -EINVAL);
	assert_int_equal(keeper_open_mapped(keeper, getpid(), 0x1000, 0x2000, "/dev/zero"),
			 -EINVAL);
	assert_int_equal(keeper_open_mapped(keeper, getpid(), 0x1000, 0x2000, "relative"), -ENOENT);
	assert_int_equal(keeper_open_mapped(keeper, 0, 0x1000, 0x2000, "/bin/true"), -EINVAL);
}

static void test_stays_below_the_root(void **state)
{
	int fd;

	assert_int_equal(symlink("/proc/self/exe", path), 0);
	/* A magic link would lead to whoever opens it. */
	fd = keeper_open_mapped(keeper, getpid(), 0x1000, 0x2000, path);
	assert_true(fd < 0);
}

/* A core dump is ELF, and holds all that a process knew. */
static void test_opens_nothing_but_code(void **state)
{
	uint8_t head[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_close_ int exe = keeper_open_program(keeper, getpid());
	int got;

	assert_true(fd >= 0 && exe >= 0);
	assert_int_equal(keeper_open_mapped(keeper, getpid(), 1, 2, path), -ENOEXEC); /* empty */
	for (uint8_t type = 0; type <= 5; type++) {
		head[16] = type;
		assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
		got = keeper_open_mapped(keeper, getpid(), 1, 2, path);
		if (type >= 1 && type <= 3) {
			assert_true(got >= 0);
			close(got);
		} else {
			assert_int_equal(got, -ENOEXEC);
		}
	}
	memcpy(head, "root", 4);
	head[16] = 3;
	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	assert_int_equal(keeper_open_mapped(keeper, getpid(), 1, 2, path), -ENOEXEC);
}

static void test_opens_a_table_and_nothing_else(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	_cleanup_close_ int memfd = memfd_create("profd-heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_close_ int disk = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_close_ int other = memfd_create("profd-heaps", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat a, b;
	void *p, *q, *o;
	int fd;

	if (geteuid() != 0) {
		print_message("SKIPPED: map_files needs root or CAP_CHECKPOINT_RESTORE\n");
		skip();
	}
	assert_int_equal(ftruncate(memfd, (off_t)page), 0);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(ftruncate(disk, (off_t)page), 0);
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	q = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, disk, 0);
	assert_int_equal(ftruncate(other, (off_t)page), 0);
	assert_int_equal(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	o = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	assert_true(p != MAP_FAILED && q != MAP_FAILED && o != MAP_FAILED);
	assert_int_equal(keeper_open_table(keeper, getpid(), (uintptr_t)o, (uintptr_t)o + page),
			 -EINVAL);
	fd = keeper_open_table(keeper, getpid(), (uintptr_t)p, (uintptr_t)p + page);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(memfd, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_int_equal(keeper_open_table(keeper, getpid(), (uintptr_t)q, (uintptr_t)q + page),
			 -EINVAL);
	munmap(p, page);
	munmap(q, page);
	munmap(o, page);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_files_of_a_process),
		T(test_does_not_wait_for_a_fifo),
		T(test_stays_below_the_root),
		T(test_opens_nothing_but_code),
		T(test_opens_a_table_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
