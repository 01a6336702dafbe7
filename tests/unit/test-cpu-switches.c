/*
 * daemon/cpu/switches, on real events of this machine. Where the kernel refuses
 * them, the tests are skipped and say so.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "daemon/cpu/switches.h"
#include "profd/base.h"

static struct keeper *keeper;

struct seen {
	pid_t pid;
	uint64_t outs, ins, stacks, weights, with_kernel, with_user, starts, exits, losses;
	uint64_t last_ns, backwards, stacks_after;
	bool stack_pending;
};

static void note_time(struct seen *seen, uint64_t time_ns)
{
	seen->backwards += time_ns < seen->last_ns;
	seen->last_ns = time_ns;
}

static void on_stack(const struct sampler_sample *s, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, s->time_ns);
	if (s->pid != seen->pid)
		return;
	seen->stacks++;
	seen->weights += s->period;
	seen->with_kernel += s->n_kernel_frames > 2;
	seen->with_user += s->stack_bytes > 0;
	seen->stack_pending = true;
}

static void on_switch(const struct switches_switch *s, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, s->time_ns);
	if (s->out_tid == seen->pid && !s->preempted) {
		seen->outs++;
		seen->stacks_after += seen->stack_pending;
		seen->stack_pending = false;
	}
	seen->ins += s->in_tid == seen->pid;
}

static void on_start(pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->starts += tid == seen->pid;
}

static void on_exit_of(pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->exits += tid == seen->pid;
}

static void on_lost(uint64_t since_ns, void *userdata)
{
	struct seen *seen = userdata;

	assert_true(since_ns <= seen->last_ns);
	seen->losses++;
}

static const struct switches_handlers handlers = {
	.on_stack = on_stack,
	.on_switch = on_switch,
	.on_start = on_start,
	.on_exit = on_exit_of,
	.on_lost = on_lost,
};

static struct switches *open_or_skip(const struct switches_config *config)
{
	struct switches *s = NULL;
	char why[256] = "";
	int r = switches_new(keeper, config, &s, why, sizeof(why));

	if (r == -EACCES || r == -EPERM || r == -ENOSYS) {
		print_message("SKIPPED: %s\n", why);
		skip();
	}
	if (r < 0)
		fail_msg("%s", why);
	print_message("%s\n", *switches_note(s) ? switches_note(s) : "by the tracepoint");
	return s;
}

/* A child that sleeps @times times for 200 us. */
static pid_t start_sleeper(int times)
{
	struct timespec t = {.tv_nsec = 200000};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < times; i++)
			nanosleep(&t, NULL);
		_exit(0);
	}
	return pid;
}

static pid_t run_sleeper(int times)
{
	pid_t pid = start_sleeper(times);

	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* The kernel tells of a loss with the next record that has room, of that CPU. */
static void switch_on_each_cpu(void)
{
	struct timespec t = {.tv_nsec = 200000};
	cpu_set_t before, one;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) == 0)
			nanosleep(&t, NULL);
	}
	sched_setaffinity(0, sizeof(before), &before);
}

/* Drains while it sleeps, as other programs' stacks fill the rings, too. */
static void watch_sleeper(struct switches *s, int times, struct seen *seen)
{
	struct timespec t = {.tv_nsec = 1000000};

	*seen = (struct seen){.pid = start_sleeper(times)};
	while (waitpid(seen->pid, NULL, WNOHANG) == 0) {
		/* all CPUs have written what is older */
		switches_drain(s, clock_mono_ns() - 20 * NSEC_PER_MSEC, &handlers, seen);
		nanosleep(&t, NULL);
	}
	for (int i = 0; i < 2; i++) {
		switches_drain(s, UINT64_MAX, &handlers, seen);
		switch_on_each_cpu();
	}
	switches_drain(s, UINT64_MAX, &handlers, seen);
}

/*
 * Each wait has its stack, or a stack was lost and that is told. The rings are the whole
 * machine's: while that is too busy for us to drain them in time nothing is proven, and
 * it is measured anew.
 */
static void test_every_wait_has_its_stack(void **state)
{
	struct switches *s = open_or_skip(&(struct switches_config){.period = 1});
	struct switches_stats stats = {0};
	uint64_t lost, before, most = 0;
	struct seen seen;

	for (int tries = 0; tries < 50 && most < 50; tries++) {
		before = stats.stacks_lost + stats.records_lost;
		watch_sleeper(s, 50, &seen);
		switches_stats(s, &stats);
		lost = stats.stacks_lost + stats.records_lost - before;
		print_message("%lu outs, %lu ins, %lu stacks, %lu lost\n", seen.outs, seen.ins,
			      seen.stacks, lost);
		assert_true(seen.stacks_after + lost >= 50);
		assert_true(seen.outs + stats.records_lost >= 50);
		assert_true(seen.ins + stats.records_lost >= 50);
		assert_true(seen.starts == 1 || stats.records_lost > 0);
		assert_true(seen.exits == 1 || stats.records_lost > 0);
		assert_int_equal(seen.backwards, 0);
		assert_int_equal(seen.with_kernel, seen.stacks);
		assert_true(seen.with_user + 1 >= seen.stacks); /* its end has none */
		most = max(most, seen.stacks_after);
	}
	assert_int_equal(stats.malformed, 0);
	assert_true(most >= 40);
	switches_free(s);
}

/* Others on the CPU are counted in it; over a while, so are ours in theirs. */
static void test_a_period_thins_stacks_and_weighs_them(void **state)
{
	struct switches *s = open_or_skip(&(struct switches_config){.period = 7});
	struct switches_stats stats;
	struct seen seen = {0};

	for (int i = 0; i < 20; i++) { /* the rings hold some 120 stacks each */
		seen.pid = run_sleeper(100);
		switches_drain(s, UINT64_MAX, &handlers, &seen);
	}
	print_message("%lu outs, %lu stacks, weighing %lu\n", seen.outs, seen.stacks, seen.weights);
	switches_stats(s, &stats);
	assert_true(seen.outs + stats.records_lost >= 2000);
	assert_true(seen.stacks < 2000 / 3);
	assert_true(seen.stacks >= 50);
	assert_true(seen.weights >= 7 * (seen.stacks - 2));
	switches_free(s);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* As if all that came had come within a millisecond. */
static void test_the_period_follows_the_rate(void **state)
{
	struct switches *s = open_or_skip(&(struct switches_config){0});
	struct switches_stats stats;
	struct seen seen = {0};
	uint64_t now = now_ns();

	switches_adapt(s, now);
	seen.pid = run_sleeper(2000);
	switches_drain(s, UINT64_MAX, &handlers, &seen);
	switches_adapt(s, now + SWITCHES_DRAIN_NS / 2);
	switches_stats(s, &stats);
	assert_true(stats.period >= 10); /* 80,000 a second, 4,000 are kept */
	switches_adapt(s, now + 3600 * NSEC_PER_SEC);
	switches_stats(s, &stats);
	assert_int_equal(stats.period, 1);
	switches_free(s);
}

static void test_a_small_ring_says_since_when_it_lost(void **state)
{
	struct switches *s = open_or_skip(&(struct switches_config){.ring_bytes = 4096});
	struct switches_stats stats;
	struct seen seen = {0};

	for (int i = 0; i < 3; i++) { /* the loss is told with what comes next */
		seen.pid = run_sleeper(300);
		switches_drain(s, UINT64_MAX, &handlers, &seen);
	}
	switches_stats(s, &stats);
	print_message("%lu records lost, in %lu gaps\n", stats.records_lost, seen.losses);
	assert_true(stats.records_lost > 100);
	assert_true(seen.losses > 0);
	assert_int_equal(stats.malformed, 0);
	switches_free(s);
}

static int setup(void **state)
{
	return keeper_new_local(&keeper);
}

static int teardown(void **state)
{
	keeper_free(keeper);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_wait_has_its_stack),
		cmocka_unit_test(test_a_period_thins_stacks_and_weighs_them),
		cmocka_unit_test(test_the_period_follows_the_rate),
		cmocka_unit_test(test_a_small_ring_says_since_when_it_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
