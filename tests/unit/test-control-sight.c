/*
 * What a user may see: samples by whose they were, not by the pid that they carry,
 * and the kernel only where the machine shows it to everybody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/control/sight.h"
#include "profd/base.h"

#define USER  1234
#define OTHER 1235

struct world {
	struct control_context ctx;
	struct aggregate *a;
	pid_t child;
};

static void init(struct world *w)
{
	*w = (struct world){0};
	assert_int_equal(keeper_new_local(&w->ctx.keeper), 0);
	assert_int_equal(module_table_new(&w->ctx.modules), 0);
	assert_int_equal(process_table_new(w->ctx.keeper, w->ctx.modules, &w->ctx.processes), 0);
	assert_int_equal(aggregate_new(1, 1000, &w->a), 0);
}

static void done(struct world *w)
{
	if (w->child > 0) {
		kill(w->child, SIGKILL);
		waitpid(w->child, NULL, 0);
	}
	aggregate_free(w->a);
	process_table_free(w->ctx.processes);
	module_table_free(w->ctx.modules);
	keeper_free(w->ctx.keeper);
}

static void sample(struct world *w, pid_t pid, uint32_t life, uid_t owner)
{
	struct sample s = {.labels = {.pid = pid, .life = life, .owner = owner}, .values = {1}};

	assert_int_equal(aggregate_add(w->a, &s), 0);
}

static void check(struct world *w, pid_t pid, size_t n, const uint32_t *lives)
{
	struct sight s;

	assert_int_equal(sight_init(&w->ctx, USER, pid, w->a, &s), 0);
	assert_int_equal(s.n_lives, n);
	if (n > 0)
		assert_memory_equal(s.lives, lives, n * sizeof(*lives));
	sight_done(&s);
}

/* As @uid, dumpable or not, until it is killed. */
static pid_t start(uid_t uid, bool dumpable)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(uid) < 0 || setuid(uid) < 0 || prctl(PR_SET_DUMPABLE, dumpable) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void test_by_owner_not_by_pid(void **state)
{
	struct world w;

	init(&w);
	sample(&w, 77, 5, OTHER); /* another user's, with the pid before */
	sample(&w, 77, 9, USER);
	sample(&w, 78, 3, USER);
	sample(&w, 79, 4, 0);
	sample(&w, 0, 0, USER); /* of nobody known */
	check(&w, 0, 2, (uint32_t[]){3, 9});
	check(&w, 77, 1, (uint32_t[]){9});
	check(&w, 79, 0, NULL);
	done(&w);
}

static void test_not_of_a_process_that_is_closed_by_now(void **state)
{
	struct process *process;
	struct world w;

	if (geteuid() != 0)
		skip();
	for (int dumpable = 0; dumpable <= 1; dumpable++) {
		init(&w);
		w.child = start(USER, dumpable);
		process = process_get(w.ctx.processes, w.child);
		assert_non_null(process);
		sample(&w, w.child, process->life, USER);
		check(&w, 0, dumpable ? 1 : 0, &(uint32_t){process->life});
		assert_int_equal(sight_check_process(&w.ctx, USER, w.child) == 0, dumpable);
		assert_true(sight_check_process(&w.ctx, OTHER, w.child) < 0);
		done(&w);
	}
}

static void test_owner_holds_over_fork_not_over_exec(void **state)
{
	struct process *parent, *child;
	struct world w;
	uint32_t life;

	if (geteuid() != 0)
		skip();
	init(&w);
	w.child = start(USER, true);
	parent = process_get(w.ctx.processes, w.child);
	assert_int_equal(process_owner(w.ctx.processes, parent), USER);
	process_on_fork(w.ctx.processes, 4194303, w.child, clock_mono_ns());
	child = process_peek(w.ctx.processes, 4194303);
	assert_int_not_equal(child->life, parent->life);
	assert_int_equal(process_owner(w.ctx.processes, child), USER);
	life = child->life;
	process_on_comm(w.ctx.processes, 4194303, 4194303, "su", true, 2);
	assert_int_not_equal(child->life, life);
	assert_int_equal(process_owner(w.ctx.processes, child), 0); /* it cannot be asked */
	done(&w);
}

/* root's su becomes a user's shell before anybody has asked whose it is. */
static void test_not_what_came_before_an_exec_that_was_heard_of_late(void **state)
{
	struct process *process;
	struct world w;
	uint32_t life;

	if (geteuid() != 0)
		skip();
	init(&w);
	w.child = start(USER, true);
	process = process_get(w.ctx.processes, w.child);
	life = process->life;
	sample(&w, w.child, life, process_owner(w.ctx.processes, process));
	check(&w, 0, 1, &life);
	process_on_fork(w.ctx.processes, 4194303, w.child, 1); /* a child of before, too */
	assert_false(process_peek(w.ctx.processes, 4194303)->owner_known);
	process_on_comm(w.ctx.processes, w.child, w.child, "sh", true, process->owner_read_ns - 1);
	check(&w, 0, 0, NULL);
	sample(&w, w.child, process->life, process_owner(w.ctx.processes, process));
	life = process->life;
	process_on_comm(w.ctx.processes, w.child, w.child, "ls", true, process->owner_read_ns + 1);
	check(&w, 0, 1, &life);
	done(&w);
}

/* The process that has the pid now began at another time than the one that was
 * heard of. */
static void test_owner_of_the_one_that_was_sampled(void **state)
{
	struct process *process;
	struct timespec now;
	uint64_t now_ns;
	struct world w;

	if (geteuid() != 0)
		skip();
	init(&w);
	w.child = start(USER, true);
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
	process_on_fork(w.ctx.processes, w.child, 1, now_ns - NSEC_PER_SEC);
	process = process_peek(w.ctx.processes, w.child);
	assert_int_equal(process_owner(w.ctx.processes, process), 0);
	process_on_fork(w.ctx.processes, w.child, 1, now_ns);
	assert_int_equal(process_owner(w.ctx.processes, process), USER);
	process->owner_known = false;
	process->start_ticks++;
	assert_int_equal(process_owner(w.ctx.processes, process), 0);
	done(&w);
}

static void test_the_kernel_only_where_all_may_see_it(void **state)
{
	assert_true(sight_shows_kernel("1\n", "0\n"));
	assert_true(sight_shows_kernel("-1\n", "0\n"));
	assert_false(sight_shows_kernel("2\n", "0\n"));
	assert_false(sight_shows_kernel("1\n", "1\n"));
	assert_false(sight_shows_kernel("", "0\n"));
	assert_false(sight_shows_kernel("1\n", "x\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_owner_not_by_pid),
		cmocka_unit_test(test_not_of_a_process_that_is_closed_by_now),
		cmocka_unit_test(test_owner_holds_over_fork_not_over_exec),
		cmocka_unit_test(test_not_what_came_before_an_exec_that_was_heard_of_late),
		cmocka_unit_test(test_owner_of_the_one_that_was_sampled),
		cmocka_unit_test(test_the_kernel_only_where_all_may_see_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
