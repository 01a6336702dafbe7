/*
 * What a scribe that has been taken over can still do: each attempt is made by a
 * child behind the fences, which says by its end how it went.
 */
#include "daemon/scribe/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"
#include "proto/publish.h"

static char dir[] = "/tmp/profd-sandbox.XXXXXX", elsewhere[] = "/tmp/profd-elsewhere.XXXXXX";
static int dir_fd;

/* 0, or the errno of what was tried. */
static int open_password_file(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int open_below_the_directory(void)
{
	return openat(dir_fd, "present", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int create_a_named_file(void)
{
	return openat(dir_fd, "created", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : errno;
}

static int publish_a_file(void)
{
	int fd = publish_open(dir_fd, 0640), r;

	if (fd < 0)
		return -fd;
	if (write(fd, "profile", 7) != 7)
		return errno;
	r = publish_link(dir_fd, fd, "published");
	return r < 0 ? -r : 0;
}

static int link_a_file_from_elsewhere(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/secret", elsewhere);
	return linkat(AT_FDCWD, path, dir_fd, "linked", 0) == 0 ? 0 : errno;
}

static int make_a_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno;
}

static int execute_a_program(void)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static int start_a_process(void)
{
	return syscall(SYS_fork) >= 0 ? 0 : errno;
}

static int trace_its_parent(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 0 : errno;
}

static int make_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? errno
		       : 0;
}

static int turn_data_into_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

/* Of the directory that it publishes in: a profile of before, say. */
static int remove_a_file(void)
{
	return unlinkat(dir_fd, "present", 0) < 0 ? errno : 0;
}

static int use_memory(void)
{
	size_t bytes = 64 << 20;
	char *p = malloc(bytes);

	if (!p)
		return ENOMEM;
	memset(p, 1, bytes);
	free(p);
	return 0;
}

static int use_too_much_memory(void)
{
	return malloc(2UL << 30) ? 0 : errno;
}

/* The wait status of a child that tries behind the fences. All that it keeps is
 * the standard descriptors and its socket, so the directory is one of the former. */
static int attempt(int (*what)(void))
{
	int status, pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(dir_fd, STDIN_FILENO) < 0 || sandbox_enter(pair[0]) < 0)
			_exit(121);
		dir_fd = STDIN_FILENO;
		_exit(what());
	}
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_exits(int status, int code)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_killed(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_opens_nothing(void **state)
{
	assert_exits(attempt(open_password_file), EACCES);
	assert_exits(attempt(open_below_the_directory), EACCES);
	assert_exits(attempt(create_a_named_file), EACCES);
}

static void test_publishes(void **state)
{
	assert_exits(attempt(publish_a_file), 0);
	assert_int_equal(faccessat(dir_fd, "published", F_OK, 0), 0);
}

static void test_links_nothing_from_elsewhere(void **state)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
		print_message("skip: this kernel has no Landlock\n");
		skip();
	}
	assert_exits(attempt(link_a_file_from_elsewhere), EXDEV);
	assert_int_not_equal(faccessat(dir_fd, "linked", F_OK, 0), 0);
}

static void test_removes_nothing(void **state)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
		print_message("skip: this kernel has no Landlock\n");
		skip();
	}
	assert_exits(attempt(remove_a_file), EACCES);
	assert_int_equal(faccessat(dir_fd, "present", F_OK, 0), 0);
}

static void test_dies_of_what_it_has_no_need_for(void **state)
{
	assert_killed(attempt(make_a_socket));
	assert_killed(attempt(execute_a_program));
	assert_killed(attempt(start_a_process));
	assert_killed(attempt(trace_its_parent));
	assert_killed(attempt(make_code));
	assert_killed(attempt(turn_data_into_code));
}

static void test_memory_is_limited(void **state)
{
	assert_exits(attempt(use_memory), 0);
	assert_exits(attempt(use_too_much_memory), ENOMEM);
}

static void make_file(const char *directory, const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void remove_file(const char *directory, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
}

static int set_up(void **state)
{
	if (!mkdtemp(dir) || !mkdtemp(elsewhere))
		return -1;
	make_file(dir, "present");
	make_file(elsewhere, "secret");
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	static const char *const made[] = {"present", "created", "published", "linked"};

	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		remove_file(dir, made[i]);
	remove_file(elsewhere, "secret");
	close(dir_fd);
	return rmdir(dir) + rmdir(elsewhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_nothing),
		cmocka_unit_test(test_publishes),
		cmocka_unit_test(test_links_nothing_from_elsewhere),
		cmocka_unit_test(test_removes_nothing),
		cmocka_unit_test(test_dies_of_what_it_has_no_need_for),
		cmocka_unit_test(test_memory_is_limited),
	};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("SKIPPED: under a sanitizer there are no fences\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
