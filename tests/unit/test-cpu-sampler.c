/*
 * The sampler end to end, on real perf events of this machine. Where the kernel
 * refuses them to us, the tests are skipped and say so.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "daemon/cpu/event.h"
#include "daemon/cpu/record.h"
#include "daemon/cpu/sampler.h"
#include "profd/base.h"

/* Some 0.2 s of user time, and two children. */
#define SPIN_PROGRAM   "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; (exit 0); /bin/true"
/* The kernel clears and copies memory. */
#define KERNEL_PROGRAM "exec dd if=/dev/zero of=/dev/null bs=1M count=12000 status=none"

static struct keeper *keeper;

static int setup(void **state)
{
	return keeper_new_local(&keeper);
}

static int teardown(void **state)
{
	keeper_free(keeper);
	return 0;
}

struct seen {
	pid_t pid; /* whose samples are looked at */
	uint64_t samples, of_pid, with_user, with_stack, with_kernel, kernel_only;
	uint64_t comms, execs, forks, exits, mmaps, executable_mmaps, identified_mmaps;
	uint64_t last_ns, backwards;
	bool leader_exited;
	char comm[16];
};

static void note_time(struct seen *seen, uint64_t time_ns)
{
	seen->backwards += time_ns < seen->last_ns;
	seen->last_ns = time_ns;
}

static void on_sample(const struct sampler_sample *s, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, s->time_ns);
	seen->samples++;
	if (s->pid != seen->pid)
		return;
	seen->of_pid++;
	seen->with_user += s->has_user;
	seen->with_kernel += s->n_kernel_frames > 0;
	for (size_t i = 0; i < s->n_kernel_frames; i++)
		assert_true(s->kernel_frames[i] < PERF_CONTEXT_MAX && s->kernel_frames[i] >> 63);
	if (!s->has_user || s->stack_bytes == 0)
		return;
	seen->with_stack++;
	/* What lies on the stack lies above the stack pointer, and the
	 * instruction pointer is one of user space. */
	assert_true(s->regs[8] != 0 && s->regs[8] >> 47 == 0);
	assert_true(s->regs[7] != 0 && s->regs[7] >> 47 == 0);
}

static void on_comm(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
		    void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->comms++;
	seen->execs += exec;
	if (pid == seen->pid)
		snprintf(seen->comm, sizeof(seen->comm), "%s", comm);
}

static void on_fork(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->forks += parent == seen->pid && pid != parent && tid == pid;
}

static void on_exit_record(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->exits++;
	seen->leader_exited |= pid == seen->pid && tid == pid;
}

static void on_mmap(const struct sampler_mmap *m, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, m->time_ns);
	seen->mmaps++;
	assert_true(m->path && m->bytes > 0);
	if (!m->executable)
		return;
	seen->executable_mmaps++;
	seen->identified_mmaps += m->build_id || m->inode || m->path[0] == '[';
}

static const struct sampler_handlers handlers = {
	.on_sample = on_sample,
	.on_comm = on_comm,
	.on_fork = on_fork,
	.on_exit = on_exit_record,
	.on_mmap = on_mmap,
};

static void open_or_skip(const struct sampler_config *config, struct sampler **ret_s)
{
	char why[512] = "";
	int rc = sampler_new(keeper, config, ret_s, why, sizeof(why));

	if (rc == -EACCES || rc == -EPERM || rc == -ENOSYS) {
		print_message("SKIPPED: no perf events here: %s\n", why);
		skip();
	}
	if (rc < 0)
		fail_msg("%s", why);
}

/* A process that waits for a byte and then becomes a shell that runs @program. */
static pid_t start_program(const char *program, int *ret_go)
{
	int pipe_fds[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(pipe_fds[0], &byte, 1) != 1)
			_exit(1);
		execl("/bin/sh", "sh", "-c", program, NULL);
		_exit(1);
	}
	close(pipe_fds[0]);
	*ret_go = pipe_fds[1];
	return pid;
}

static pid_t start_spinner(int *ret_go)
{
	return start_program(SPIN_PROGRAM, ret_go);
}

static void let_go(int go, pid_t pid)
{
	int status;

	assert_int_equal(write(go, "x", 1), 1);
	close(go);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_tree(const struct seen *seen, const struct sampler *s)
{
	struct sampler_stats stats;

	sampler_stats(s, &stats);
	print_message("%s (%s), rings of %zu KiB: %lu samples, %lu of the shell, %lu with a stack, "
		      "%lu with kernel frames; %lu comm, %lu fork, %lu exit, %lu mmap; lost %lu\n",
		      sampler_event(s), sampler_event_note(s), sampler_ring_bytes(s) >> 10,
		      seen->samples, seen->of_pid, seen->with_stack, seen->with_kernel, seen->comms,
		      seen->forks, seen->exits, seen->mmaps, stats.lost);
	assert_true(seen->of_pid >= 10);
	assert_true(seen->with_stack >= seen->of_pid * 9 / 10);
	assert_true(seen->execs >= 2); /* the shell and /bin/true */
	assert_string_equal(seen->comm, "sh");
	assert_true(seen->forks >= 1);
	assert_true(seen->leader_exited);
	assert_true(seen->executable_mmaps >= 3);
	assert_int_equal(seen->identified_mmaps, seen->executable_mmaps);
	assert_int_equal(seen->backwards, 0);
	assert_int_equal(stats.malformed, 0);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(stats.samples, seen->samples);
	assert_true(stats.records >= seen->samples + seen->mmaps);
}

static void test_tree_is_sampled_from_its_exec_on(void **state)
{
	struct sampler *s = NULL;
	struct seen seen = {0};
	int go;
	pid_t pid = start_spinner(&go);
	struct sampler_config config = {.frequency_hz = 500, .pid = pid, .stack_bytes = 4096};

	seen.pid = pid;
	open_or_skip(&config, &s);
	assert_true(sampler_n_fds(s) >= 1);
	assert_int_equal(sampler_frequency(s), 500);
	assert_int_equal(sampler_period_ns(s), 2000000);
	let_go(go, pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	check_tree(&seen, s);
	sampler_free(s);
}

static int sample_as_nobody(void)
{
	struct sampler_config config = {.frequency_hz = 500, .stack_bytes = 4096};
	struct seen seen = {0};
	struct sampler *s;
	char why[512];
	int go;

	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	/* Changing uid made us undumpable, and a child is so by inheritance. */
	prctl(PR_SET_DUMPABLE, 1);
	config.pid = seen.pid = start_spinner(&go);
	if (sampler_new(keeper, &config, &s, why, sizeof(why)) < 0) {
		print_message("%s\n", why);
		return 3;
	}
	if (!strstr(sampler_event_note(s), "user code only"))
		return 4;
	let_go(go, config.pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	if (seen.with_kernel > 0)
		return 5;
	check_tree(&seen, s);
	sampler_free(s);
	return 0;
}

static int read_paranoid(void)
{
	FILE *f = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int value = 99;

	if (f) {
		if (fscanf(f, "%d", &value) != 1)
			value = 99;
		fclose(f);
	}
	return value;
}

static void test_ordinary_user_gets_user_code(void **state)
{
	int status, paranoid = read_paranoid();
	pid_t pid;

	if (geteuid() != 0 || paranoid != 2) {
		print_message("SKIPPED: needs root, to become nobody, and perf_event_paranoid 2 "
			      "(it is %d)\n",
			      paranoid);
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(sample_as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_whole_machine_sees_the_right_pid(void **state)
{
	struct sampler_config config = {.frequency_hz = 500, .stack_bytes = 4096};
	struct seen seen = {0};
	struct sampler *s = NULL;
	int go;

	open_or_skip(&config, &s);
	seen.pid = start_spinner(&go);
	let_go(go, seen.pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	check_tree(&seen, s);
	assert_true(seen.with_kernel < seen.of_pid);
	sampler_free(s);
}

static void test_kernel_time_has_kernel_frames(void **state)
{
	struct sampler_config config = {.frequency_hz = 500, .stack_bytes = 4096};
	struct seen seen = {0};
	struct sampler *s = NULL;
	int go;

	config.pid = seen.pid = start_program(KERNEL_PROGRAM, &go);
	open_or_skip(&config, &s);
	let_go(go, seen.pid);
	if (strstr(sampler_event_note(s), "user code only")) {
		print_message("SKIPPED: %s\n", sampler_event_note(s));
		sampler_free(s);
		skip();
	}
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	print_message("dd: %lu samples, %lu with kernel frames, %lu with a user stack\n",
		      seen.of_pid, seen.with_kernel, seen.with_stack);
	assert_true(seen.of_pid >= 10);
	assert_true(seen.with_kernel >= seen.of_pid / 2);
	assert_true(seen.with_stack >= seen.of_pid * 9 / 10);
	assert_string_equal(seen.comm, "dd");
	sampler_free(s);
}

static void test_horizon_holds_back_what_is_younger(void **state)
{
	struct sampler_config config = {.frequency_hz = 500, .stack_bytes = 4096};
	struct seen early = {0}, late = {0};
	struct sampler *s = NULL;
	struct timespec now;
	uint64_t horizon;
	int go;

	open_or_skip(&config, &s);
	early.pid = start_spinner(&go);
	let_go(go, early.pid);
	clock_gettime(CLOCK_MONOTONIC, &now);
	horizon = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
	late.pid = start_spinner(&go);
	let_go(go, late.pid);
	sampler_drain(s, horizon, &handlers, &early);
	assert_true(early.of_pid >= 10);
	assert_true(early.last_ns < horizon);
	sampler_drain(s, UINT64_MAX, &handlers, &late);
	assert_true(late.of_pid >= 10);
	assert_int_equal(early.backwards + late.backwards, 0);
	sampler_free(s);
}

static void test_small_ring_counts_what_it_loses(void **state)
{
	struct sampler_config config = {.frequency_hz = 1000, .ring_bytes = 1, .stack_bytes = 512};
	struct sampler *s = NULL;
	struct sampler_stats stats;
	struct seen seen = {0};
	int go;

	open_or_skip(&config, &s);
	assert_int_equal(sampler_ring_bytes(s), sysconf(_SC_PAGESIZE));
	seen.pid = start_spinner(&go);
	let_go(go, seen.pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	/* The kernel tells of the loss when it next finds room. */
	seen.pid = start_spinner(&go);
	let_go(go, seen.pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	sampler_stats(s, &stats);
	print_message("one page a ring: %lu records kept, %lu lost\n", stats.records, stats.lost);
	assert_true(stats.samples > 0);
	assert_true(stats.lost > 100);
	assert_int_equal(stats.malformed, 0);
	sampler_free(s);
}

static void check_refused(const char *event, int error, const char *expected)
{
	struct sampler_config config = {.event = event};
	struct sampler *s = NULL;
	char why[512] = "";
	int rc = sampler_new(keeper, &config, &s, why, sizeof(why));

	if (rc == -EACCES || rc == -EPERM) {
		print_message("SKIPPED: no perf events here: %s\n", why);
		skip();
	}
	assert_int_equal(rc, error);
	assert_null(s);
	assert_non_null(strstr(why, expected));
	assert_null(strchr(why, '\n'));
}

static void test_unknown_event_names_those_there_are(void **state)
{
	check_refused("no-such-event", -ENOENT, "cpu-clock, task-clock");
	check_refused("", -ENOENT, "cpu-clock");
	check_refused("cpu-clock:period=1000", -EINVAL, ":freq=");
	check_refused("cpu-clock:freq=1000000", -ERANGE, "at most");
	check_refused("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		      -ENAMETOOLONG, "File name too long");
}

static void test_event_names_have_many_spellings(void **state)
{
	static const char *const names[] = {"cpu-clock", "cpu_clock", "CPU-CLOCK",
					    "PERF_COUNT_SW_CPU_CLOCK", "perf::cpu-clock"};
	struct event e;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(event_find(names[i], &e), 0);
		assert_true(e.clock);
		assert_int_equal(e.attr.config, PERF_COUNT_SW_CPU_CLOCK);
	}
	assert_int_equal(event_find("context_switches", &e), 0);
	assert_false(e.clock);
	assert_int_equal(event_find("cycles:u", &e), 0);
	assert_int_equal(e.attr.exclude_kernel, 1);
	assert_int_equal(event_find("cycles:freq=250", &e), 0);
	assert_int_equal(e.own_frequency_hz, 250);
}

static void test_default_event_says_what_it_is(void **state)
{
	struct sampler_config config = {0};
	struct sampler *s = NULL;

	open_or_skip(&config, &s);
	assert_int_equal(sampler_frequency(s), 99);
	if (strcmp(sampler_event(s), "cycles") != 0) {
		assert_string_equal(sampler_event(s), "cpu-clock");
		assert_non_null(strstr(sampler_event_note(s), "no hardware counter"));
	}
	sampler_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_is_sampled_from_its_exec_on),
		cmocka_unit_test(test_ordinary_user_gets_user_code),
		cmocka_unit_test(test_whole_machine_sees_the_right_pid),
		cmocka_unit_test(test_kernel_time_has_kernel_frames),
		cmocka_unit_test(test_horizon_holds_back_what_is_younger),
		cmocka_unit_test(test_small_ring_counts_what_it_loses),
		cmocka_unit_test(test_unknown_event_names_those_there_are),
		cmocka_unit_test(test_event_names_have_many_spellings),
		cmocka_unit_test(test_default_event_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
