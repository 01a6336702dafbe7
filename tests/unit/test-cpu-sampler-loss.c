/* daemon/cpu/sampler: what it loses is counted, and CPUs that go and come are followed. */
#include "tests/unit/sampler-harness.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>

static double seconds(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

/* The counters of the kernel are exact and there at once: nothing more has to
 * happen for a loss to be known. */
/* Its forks and ends have no room in a ring that is full. */
static void start_and_end_children(void)
{
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

/* On one CPU, so that what fills its ring and what finds it full meet. */
static void stay_on_one_cpu(cpu_set_t *ret_before)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_getaffinity(0, sizeof(*ret_before), ret_before), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void fill_small_ring(struct sampler *s, struct seen *seen)
{
	int go;

	seen->pid = start_spinner(&go);
	let_go(go, seen->pid);
	start_and_end_children();
	sampler_drain(s, UINT64_MAX, &handlers, seen);
}

static void test_small_ring_counts_what_it_loses(void **state)
{
	struct sampler_config config = {.frequency_hz = 1000, .ring_bytes = 1, .stack_bytes = 512};
	struct sampler *s = NULL;
	struct sampler_stats stats;
	struct seen seen = {0};
	cpu_set_t before;

	open_or_skip(&config, &s);
	assert_int_equal(sampler_ring_bytes(s), sysconf(_SC_PAGESIZE));
	stay_on_one_cpu(&before);
	fill_small_ring(s, &seen);
	sampler_stats(s, &stats);
	if (!stats.exact) /* then it tells when it next finds room */
		fill_small_ring(s, &seen);
	sched_setaffinity(0, sizeof(before), &before);
	sampler_stats(s, &stats);
	print_message("one page a ring: %lu samples kept, %lu lost, and %lu records\n",
		      stats.samples, stats.lost, stats.lost_records);
	assert_true(stats.samples > 0);
	assert_true(stats.lost > 100);
	assert_true(!stats.exact || stats.lost_records > 0);
	assert_int_equal(seen.lost, stats.lost + stats.orphans);
	assert_int_equal(stats.malformed, 0);
	sampler_free(s);
}

/* A tree's events count its own time and nobody else's, and the shell says how
 * much that was. */
static void test_kept_and_lost_are_all(void **state)
{
	struct sampler_config config = {
		.event = "task-clock", .frequency_hz = 1000, .ring_bytes = 1, .stack_bytes = 512};
	struct rusage before, after;
	struct sampler_stats stats;
	struct sampler *s = NULL;
	struct seen seen = {0};
	double expected;
	int go;

	getrusage(RUSAGE_CHILDREN, &before);
	config.pid = seen.pid = start_spinner(&go);
	open_or_skip(&config, &s);
	let_go(go, seen.pid);
	getrusage(RUSAGE_CHILDREN, &after);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	sampler_stats(s, &stats);
	if (!stats.exact || strstr(sampler_event_note(s), "user code only")) {
		print_message("SKIPPED: losses are not told by event, or the kernel's part is "
			      "hidden\n");
		sampler_free(s);
		skip();
	}
	expected = 1000 * (seconds(&after) - seconds(&before));
	print_message("%lu samples kept and %lu lost, %.0f expected\n", seen.samples, seen.lost,
		      expected);
	assert_true(seen.lost > 10 * seen.samples);
	/* Of some 250, 10 for what it took to start, before the exec: that is charged
	 * to it and not sampled. The exact figure is a system test's. */
	assert_true((double)(seen.samples + seen.lost) > 0.98 * expected - 10);
	assert_true((double)(seen.samples + seen.lost) < 1.02 * expected + 5);
	sampler_free(s);
}

static double cpu_seconds_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A ring that is full and stays so holds no record of what it lost, since there
 * was no room for that either. */
static void test_loss_of_a_ring_that_is_still_full_is_known(void **state)
{
	struct sampler_config config = {
		.event = "task-clock", .frequency_hz = 1000, .ring_bytes = 1, .stack_bytes = 512};
	struct sampler_stats stats;
	struct sampler *s = NULL;
	struct seen seen = {0};
	int go;

	config.pid = seen.pid = start_program("while :; do :; done", &go);
	open_or_skip(&config, &s);
	assert_int_equal(write(go, "x", 1), 1);
	close(go);
	while (cpu_seconds_of(seen.pid) < 0.3)
		usleep(10000);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	kill(seen.pid, SIGKILL);
	waitpid(seen.pid, NULL, 0);
	sampler_stats(s, &stats);
	if (stats.exact)
		assert_true(seen.lost > 200);
	sampler_free(s);
}

static bool samples_cpu(struct sampler *s, unsigned cpu)
{
	for (size_t i = 0; i < sampler_n_fds(s); i++)
		if (s->cpus[i].cpu == cpu)
			return true;
	return false;
}

static void write_online(const char *path, const char *list)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(list, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_cpus_that_go_and_come_are_followed(void **state)
{
	char path[] = "/tmp/profd-online-XXXXXX";
	struct sampler_config config = {.frequency_hz = 500, .online = path};
	struct sampler_stats stats;
	struct sampler *s = NULL;
	uint64_t now = NSEC_PER_SEC;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	close(mkstemp(path));
	write_online(path, "0-1\n");
	open_or_skip(&config, &s);
	assert_int_equal(sampler_n_fds(s), 2);
	assert_false(sampler_check_cpus(s, now));
	write_online(path, "0\n");
	assert_false(sampler_check_cpus(s, now + 1)); /* has looked just now */
	assert_true(sampler_check_cpus(s, now += NSEC_PER_SEC));
	sampler_update_cpus(s);
	assert_int_equal(sampler_n_fds(s), 1);
	assert_true(samples_cpu(s, 0));
	write_online(path, "0-1,4000\n"); /* the last is a CPU that cannot be had */
	assert_true(sampler_check_cpus(s, now += NSEC_PER_SEC));
	sampler_update_cpus(s);
	assert_int_equal(sampler_n_fds(s), 2);
	assert_true(samples_cpu(s, 1));
	sampler_stats(s, &stats);
	assert_int_equal(stats.taken_up, 1);
	assert_true(sampler_check_cpus(s, now += NSEC_PER_SEC)); /* still not */
	sampler_free(s);
	unlink(path);
}

/* What is left of an event when its CPU has gone and come between two looks. */
static void test_event_that_is_off_is_replaced(void **state)
{
	char path[] = "/tmp/profd-online-XXXXXX";
	struct sampler_config config = {.frequency_hz = 500, .stack_bytes = 512, .online = path};
	struct sampler *s = NULL;
	struct sampler_stats stats;
	struct seen seen = {0};
	uint64_t now = NSEC_PER_SEC;
	int go;

	close(mkstemp(path));
	write_online(path, "0\n");
	open_or_skip(&config, &s);
	for (int i = 0; i < 4; i++) { /* silent, but not off */
		assert_false(sampler_check_cpus(s, now += NSEC_PER_SEC));
		usleep(1000);
	}
	assert_int_equal(ioctl(sampler_fd(s, 0), PERF_EVENT_IOC_DISABLE, 0), 0);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	(void)sampler_check_cpus(s, now += NSEC_PER_SEC);
	(void)sampler_check_cpus(s, now += NSEC_PER_SEC);
	assert_true(sampler_check_cpus(s, now += NSEC_PER_SEC));
	sampler_update_cpus(s);
	sampler_stats(s, &stats);
	assert_int_equal(stats.taken_up, 1);
	seen = (struct seen){.pid = start_program("taskset -p -c 0 $$ >&2; " SPIN_PROGRAM, &go)};
	let_go(go, seen.pid);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	assert_true(seen.of_pid >= 10);
	sampler_free(s);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_ring_counts_what_it_loses),
		cmocka_unit_test(test_kept_and_lost_are_all),
		cmocka_unit_test(test_loss_of_a_ring_that_is_still_full_is_known),
		cmocka_unit_test(test_cpus_that_go_and_come_are_followed),
		cmocka_unit_test(test_event_that_is_off_is_replaced),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
