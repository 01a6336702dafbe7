/* The process table: what records make of it, and what /proc tells. */
#include "tests/unit/process-world.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD  5000001
#define SECOND NSEC_PER_SEC

/* ---- records */

static void test_fork_copies_and_exec_clears(void **state)
{
	process_on_comm(table, PID, PID, "parent", true, 1);
	map(PID, 0x1000, 0x2000, "/a");
	process_on_fork(table, CHILD, PID, 2);
	assert_string_equal(process_peek(table, CHILD)->comm, "parent");
	assert_int_equal(process_peek(table, CHILD)->n_maps, 1);

	process_on_comm(table, CHILD, CHILD, "child", true, 3);
	assert_int_equal(process_peek(table, CHILD)->n_maps, 0);
	assert_true(process_peek(table, CHILD)->maps_known);
	map(CHILD, 0x5000, 0x6000, "/b");
	assert_int_equal(process_peek(table, CHILD)->n_maps, 1);
	assert_int_equal(process_peek(table, PID)->n_maps, 1);
	assert_string_equal(process_peek(table, PID)->comm, "parent");
	assert_ptr_equal(process_get(table, CHILD), process_peek(table, CHILD));
}

static void test_fork_replaces_who_had_the_pid(void **state)
{
	process_on_comm(table, PID, PID, "parent", true, 1);
	process_on_comm(table, CHILD, CHILD, "old", true, 1);
	map(CHILD, 0x5000, 0x6000, "/b");
	process_on_exit(table, CHILD, CHILD, 2);
	process_on_fork(table, CHILD, PID, 3);
	assert_int_equal(process_peek(table, CHILD)->exited_ns, 0);
	assert_string_equal(process_peek(table, CHILD)->comm, "parent");
	assert_int_equal(process_peek(table, CHILD)->n_maps, 0);
	process_reap(table, 10);
	assert_non_null(process_peek(table, CHILD));
}

static void test_threads_have_names_of_their_own(void **state)
{
	process_on_comm(table, PID, PID, "server", true, 1);
	process_on_fork(table, PID, PID, 2); /* a thread */
	assert_string_equal(process_thread_name(table, PID, PID + 1), "server");
	process_on_comm(table, PID, PID + 1, "worker", false, 3);
	assert_string_equal(process_thread_name(table, PID, PID + 1), "worker");
	assert_string_equal(process_peek(table, PID)->comm, "server");
	process_on_exit(table, PID, PID + 1, 4);
	assert_int_equal(process_peek(table, PID)->exited_ns, 0);
	assert_string_equal(process_thread_name(table, PID, PID + 1), "server");
	process_on_comm(table, PID, PID, "renamed", false, 5);
	assert_string_equal(process_thread_name(table, PID, PID), "renamed");
	assert_string_equal(process_thread_name(table, CHILD, CHILD), "");
}

static void test_exited_process_stays_until_it_is_reaped(void **state)
{
	process_on_comm(table, PID, PID, "x", true, 1);
	process_on_exit(table, PID, PID, 5 * SECOND);
	assert_non_null(process_get(table, PID));
	process_reap(table, 5 * SECOND);
	assert_non_null(process_get(table, PID));
	process_reap(table, 5 * SECOND + 1);
	assert_null(process_get(table, PID));
	assert_int_equal(process_count(table), 0);
}

static void test_exec_by_another_thread_revives(void **state)
{
	process_on_comm(table, PID, PID, "x", true, 1);
	process_on_exit(table, PID, PID, 2); /* the leader makes way */
	process_on_comm(table, PID, PID, "y", true, 3);
	process_reap(table, 10);
	assert_string_equal(process_peek(table, PID)->comm, "y");
}

static void test_full_table_evicts_the_exited(void **state)
{
	for (int i = 0; i < PROFD_MAX_PROCESSES; i++)
		process_on_comm(table, PID + i, PID + i, "x", true, 1);
	process_on_comm(table, PID - 1, PID - 1, "x", true, 2);
	assert_null(process_peek(table, PID - 1));
	assert_int_equal(process_table_refused(table), 1);
	process_on_exit(table, PID + 7, PID + 7, 3);
	process_on_comm(table, PID - 1, PID - 1, "x", true, 4);
	assert_non_null(process_peek(table, PID - 1));
	assert_null(process_peek(table, PID + 7));
	/* None of them exists: after losses that is noticed. */
	process_distrust(table);
	process_reap(table, 5);
	process_reap(table, 6);
	assert_int_equal(process_count(table), 0);
}

static void test_pids_that_are_none(void **state)
{
	process_on_comm(table, 0, 0, "x", true, 1);
	process_on_comm(table, -1, -1, "x", true, 1);
	assert_int_equal(process_count(table), 0);
	assert_null(process_get(table, 0));
	assert_null(process_get(table, -1));
	assert_null(process_get(table, PID)); /* no such process */
	assert_int_equal(process_count(table), 0);
}

/* ---- memory */

/* What one program leaves behind: a fork, an exec, a file of its own and one that
 * all share, code without a file, a thread, and the end of both. */
static void run_short_program(pid_t pid, uint64_t i, uint64_t now_ns)
{
	struct process_mmap own = {
		.pid = pid,
		.start = 0x400000,
		.bytes = 0x1000,
		.path = "/tmp/job/a.out",
		.key = {.dev = 1, .inode = 1000 + i},
		.executable = true,
	};

	process_on_fork(table, pid, PID, now_ns);
	process_on_comm(table, pid, pid, "a.out", true, now_ns);
	process_on_mmap(table, &own);
	map(pid, 0x7f0000000000, 0x7f0000001000, "/lib/libc.so.6");
	map(pid, 0x7f0000002000, 0x7f0000003000, "//anon");
	process_on_comm(table, pid, pid + 1, "worker", false, now_ns);
	process_on_exit(table, pid, pid + 1, now_ns);
	process_on_exit(table, pid, pid, now_ns);
}

static uint64_t resident_bytes(void)
{
	uint64_t bytes;

	assert_int_equal(process_read_rss(keeper, getpid(), &bytes), 0);
	return bytes;
}

/* An hour of a machine that starts a thousand programs a minute, each of a build
 * of its own: the second half needs no more than the first. */
static void test_short_programs_leave_nothing_behind(void **state)
{
	const uint64_t programs = 60000, each_ns = 60 * SECOND / 1000;
	size_t most_modules = 0, most_processes = 0;
	uint64_t middle = 0;
	struct module *shared;

	process_on_comm(table, PID, PID, "sh", true, 1);
	map(PID, 0x1000, 0x2000, "/bin/sh");
	for (uint64_t i = 0; i < programs; i++) {
		uint64_t now_ns = SECOND + i * each_ns;

		run_short_program(PID + 2 + 2 * (pid_t)(i % 4000), i, now_ns);
		if (i % 4 == 0)
			process_reap(table, now_ns - 2 * SECOND);
		if (i % 160 == 0) {
			process_keep_modules(table);
			module_sweep(modules, now_ns);
		}
		most_modules = max(most_modules, module_count(modules));
		most_processes = max(most_processes, process_count(table));
		if (i == programs / 2)
			middle = resident_bytes();
	}
	assert_int_equal(module_table_refused(modules), 0);
	assert_true(module_table_freed(modules) > programs);
	assert_true(most_modules < 2 * PROFD_MAX_IDLE_MODULES);
	assert_true(most_processes < 100);
	assert_true(resident_bytes() < middle + (256u << 10));
	/* what is still in use is still there, under the same id */
	shared = process_peek(table, PID)->maps[0].module;
	assert_string_equal(shared->path, "/bin/sh");
	assert_ptr_equal(module_by_id(modules, shared->id), shared);
}

static void test_code_without_a_file_is_not_another_programs(void **state)
{
	uint32_t first, second;

	process_on_comm(table, PID, PID, "java", true, 1);
	map(PID, 0x1000, 0x2000, "//anon");
	first = process_peek(table, PID)->maps[0].module->id;
	process_on_comm(table, PID, PID, "node", true, 2);
	map(PID, 0x1000, 0x2000, "//anon");
	second = process_peek(table, PID)->maps[0].module->id;
	assert_int_not_equal(first, second);
	process_on_fork(table, PID, CHILD, 3); /* the pid is used again */
	map(PID, 0x1000, 0x2000, "//anon");
	assert_int_not_equal(process_peek(table, PID)->maps[0].module->id, second);
}

/* ---- /proc */

static int some_function(void)
{
	return 42;
}

static void test_own_process_is_read_from_proc(void **state)
{
	struct process *p = process_get(table, getpid());
	const struct process_map *m;
	uint64_t ticks, rss;
	uid_t uid;
	char comm[PROCESS_COMM_BYTES], exe[PROFD_MAX_PATH] = {0};

	assert_non_null(p);
	m = process_find_map(p, (uintptr_t)some_function);
	assert_non_null(m);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(m->module->path, exe);
	assert_int_equal(some_function(), 42);
	assert_int_equal(process_read_start(keeper, getpid(), &ticks), 0);
	assert_int_equal(p->start_ticks, ticks);
	assert_int_equal(process_read_comm(keeper, getpid(), comm), 0);
	assert_string_equal(p->comm, comm);
	assert_int_equal(process_read_uid(keeper, getpid(), &uid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(process_read_rss(keeper, getpid(), &rss), 0);
	assert_true(rss > 100000);
	assert_int_equal(process_read_start(keeper, PID, &ticks), -ENOENT);
}

static void test_own_module_opens_and_offsets_agree(void **state)
{
	struct process *p = process_get(table, getpid());
	uint64_t address = (uintptr_t)some_function, offset;
	const struct process_map *m = process_find_map(p, address);
	struct module *module = process_open_module(table, p, m);
	uint8_t bytes[16];

	assert_true(module->fd >= 0);
	assert_ptr_equal(process_open_module(table, p, m), module);
	offset = address - m->start + m->file_offset;
	assert_int_equal(pread(module->fd, bytes, sizeof(bytes), (off_t)offset), sizeof(bytes));
	assert_memory_equal(bytes, (const void *)some_function, sizeof(bytes));
	assert_true(module->n_places >= 1);
}

static void test_scan_finds_this_process(void **state)
{
	assert_true(process_scan(table) >= 1);
	assert_non_null(process_peek(table, getpid()));
	assert_true(process_peek(table, getpid())->n_maps > 2);
}

static void test_lost_records_make_maps_be_read_again(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct process *p = process_get(table, getpid());
	void *code = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(code != MAP_FAILED);
	assert_null(process_find_map(process_get(table, getpid()), (uintptr_t)code));
	process_distrust(table);
	p = process_get(table, getpid());
	assert_non_null(process_find_map(p, (uintptr_t)code));
	assert_int_equal(process_find_map(p, (uintptr_t)code)->module->kind, MODULE_JIT);
	munmap(code, page);
}

/* A child in state "main() has called pthread_exit(), a thread goes on". */
static void *outlive(void *arg)
{
	prctl(PR_SET_NAME, "outliver");
	if (write(*(int *)arg, "x", 1) == 1)
		pause();
	return NULL;
}

static pid_t start_leaderless(void)
{
	int pipe_fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, outlive, &pipe_fds[1]);
		pthread_exit(NULL);
	}
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return pid;
}

static void test_process_outlives_its_first_thread(void **state)
{
	pid_t pid = start_leaderless();

	process_on_comm(table, pid, pid, "x", true, 1);
	process_on_exit(table, pid, pid, 2);
	process_reap(table, 3);
	assert_non_null(process_peek(table, pid));
	assert_int_equal(process_peek(table, pid)->exited_ns, 0);

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	process_on_exit(table, pid, pid + 1, 4); /* the thread's */
	process_reap(table, 5);
	assert_null(process_peek(table, pid));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fork_copies_and_exec_clears),
		T(test_fork_replaces_who_had_the_pid),
		T(test_threads_have_names_of_their_own),
		T(test_exited_process_stays_until_it_is_reaped),
		T(test_exec_by_another_thread_revives),
		T(test_full_table_evicts_the_exited),
		T(test_pids_that_are_none),
		T(test_short_programs_leave_nothing_behind),
		T(test_code_without_a_file_is_not_another_programs),
		T(test_own_process_is_read_from_proc),
		T(test_own_module_opens_and_offsets_agree),
		T(test_scan_finds_this_process),
		T(test_lost_records_make_maps_be_read_again),
		T(test_process_outlives_its_first_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
