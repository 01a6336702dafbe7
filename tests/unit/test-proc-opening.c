/* daemon/proc/opening: whose file is opened, and which. */
#include "tests/unit/process-world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/test-proc-XXXXXX";
static char copy_path[64], other_path[64];

static void copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	char buffer[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
}

static int setup_files(void **state)
{
	strcpy(dir, "/tmp/test-proc-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(copy_path, sizeof(copy_path), "%s/sleep", dir);
	snprintf(other_path, sizeof(other_path), "%s/other", dir);
	copy_file("/bin/sleep", copy_path);
	copy_file("/bin/true", other_path);
	return setup(state);
}

static int teardown_files(void **state)
{
	unlink(copy_path);
	unlink(other_path);
	rmdir(dir);
	return teardown(state);
}

/* Runs the copy of sleep; returns when it has been exec'd. */
static pid_t start_copy(void)
{
	int pipe_fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(copy_path, "sleep", "60", NULL);
		_exit(1);
	}
	close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* closed by the exec */
	close(pipe_fds[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const struct process_map *find_copy(const struct process *p)
{
	for (size_t i = 0; i < p->n_maps; i++)
		if (strcmp(p->maps[i].module->path, copy_path) == 0)
			return &p->maps[i];
	fail_msg("%s is not mapped", copy_path);
	return NULL;
}

static void test_file_of_a_process_that_has_gone_opens_by_path(void **state)
{
	pid_t pid = start_copy();
	struct process *p = process_get(table, pid);

	assert_non_null(p);
	stop(pid);
	assert_true(process_open_module(table, p, find_copy(p))->fd >= 0);
}

static void test_another_file_at_the_path_is_not_opened(void **state)
{
	pid_t pid = start_copy();
	struct process *p = process_get(table, pid);
	struct module *m;

	stop(pid);
	assert_int_equal(rename(other_path, copy_path), 0);
	m = process_open_module(table, p, find_copy(p));
	assert_int_equal(m->fd, -1);
	assert_int_equal(m->error, -ESTALE);
}

/* map_files leads to the deleted file itself, where we may follow it. */
static void test_deleted_file_opens_while_it_is_mapped(void **state)
{
	pid_t pid = start_copy();
	struct process *p = process_get(table, pid);
	struct module *m;

	assert_int_equal(unlink(copy_path), 0);
	m = process_open_module(table, p, find_copy(p));
	stop(pid);
	if (geteuid() != 0) {
		print_message("SKIPPED: map_files needs root or CAP_CHECKPOINT_RESTORE\n");
		skip();
	}
	assert_true(m->fd >= 0);
}

static void test_file_is_tried_again_through_another_process(void **state)
{
	struct module_key key = {.dev = 1, .inode = 2};
	struct process_mmap mmap = {.path = copy_path, .executable = true, .bytes = 0x1000};
	struct module *m = module_get_file(modules, copy_path, &key);
	const struct process *p;

	mmap.key = key;
	for (pid_t pid = PID; pid < PID + 64; pid++) {
		process_on_comm(table, pid, pid, "x", true, 1);
		mmap.pid = pid;
		process_on_mmap(table, &mmap);
		p = process_peek(table, pid);
		assert_ptr_equal(process_open_module(table, (struct process *)p, &p->maps[0]), m);
		process_open_module(table, (struct process *)p, &p->maps[0]);
		assert_true(m->attempts <= (unsigned)(pid - PID) + 1);
	}
	assert_int_equal(m->attempts, 7); /* through the 1st, 2nd, 4th .. 64th */
}

static void test_alias_gives_way_in_the_mappings(void **state)
{
	pid_t pid = start_copy();
	struct process *p = process_get(table, pid);
	struct module *probe = process_open_module(table, p, find_copy(p)), *elder;
	struct module_key key = {.build_id = probe->build_id,
				 .build_id_bytes = probe->build_id_bytes};
	struct module_table *fresh_modules;
	struct process_table *fresh;
	const struct process_map *m;

	assert_true(probe->build_id_bytes > 0); /* Debian's programs have one */
	/* Other tables, in which the file is known by its build-id before it is
	 * met in a process. */
	assert_int_equal(module_table_new(&fresh_modules), 0);
	assert_int_equal(process_table_new(keeper, fresh_modules, &fresh), 0);
	elder = module_get_file(fresh_modules, "/elsewhere/sleep", &key);
	p = process_get(fresh, pid);
	m = find_copy(p);
	assert_ptr_not_equal(m->module, elder);
	assert_ptr_equal(process_open_module(fresh, p, m), elder);
	assert_ptr_equal(m->module, elder);
	assert_true(elder->fd >= 0);
	process_table_free(fresh);
	module_table_free(fresh_modules);
	stop(pid);
}

int main(void)
{
#define F(f) cmocka_unit_test_setup_teardown(f, setup_files, teardown_files)
	const struct CMUnitTest tests[] = {
		F(test_file_of_a_process_that_has_gone_opens_by_path),
		F(test_another_file_at_the_path_is_not_opened),
		F(test_deleted_file_opens_while_it_is_mapped),
		F(test_file_is_tried_again_through_another_process),
		F(test_alias_gives_way_in_the_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
