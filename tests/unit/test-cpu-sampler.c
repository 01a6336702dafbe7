/* daemon/cpu/sampler: whose samples it hands over, and what they hold. */
#include "tests/unit/sampler-harness.h"

#include <grp.h>

/* The kernel clears and copies memory. */
#define KERNEL_PROGRAM "exec dd if=/dev/zero of=/dev/null bs=1M count=12000 status=none"

/* Of a busy machine, for as long as the spinner may take there: it is drained only
 * at the end. */
#define MACHINE_RING_BYTES (16u << 20)

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
	assert_int_equal(sampler_period(s), 2000000);
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
	struct sampler_config config = {
		.frequency_hz = 500, .ring_bytes = MACHINE_RING_BYTES, .stack_bytes = 4096};
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
	struct sampler_config config = {
		.frequency_hz = 500, .ring_bytes = MACHINE_RING_BYTES, .stack_bytes = 4096};
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
		cmocka_unit_test(test_default_event_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
