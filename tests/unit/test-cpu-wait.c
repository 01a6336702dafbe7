/* daemon/cpu/wait: switches and stacks in, waits out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/cpu/wait.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MS NSEC_PER_MSEC

struct seen {
	struct wait waits[64];
	uint64_t first_frame[64]; /* offset */
	size_t n;
};

static void on_wait(const struct wait *w, void *userdata)
{
	struct seen *seen = userdata;

	assert_true(seen->n < ARRAY_SIZE(seen->waits));
	seen->first_frame[seen->n] = w->n_frames > 0 ? w->frames[0].offset : 0;
	seen->waits[seen->n++] = *w;
}

static struct wait_table *new_table(struct seen *seen)
{
	struct wait_table *t;

	*seen = (struct seen){0};
	assert_int_equal(wait_table_new(on_wait, seen, &t), 0);
	return t;
}

static void on_stack(struct wait_table *t, pid_t tid, uint64_t offset, uint64_t weight,
		     uint64_t time_ns)
{
	struct frame f = {.module = 7, .offset = offset};
	struct wait_origin o = {.pid = 1,
				.tid = tid,
				.time_ns = time_ns,
				.weight = weight,
				.frames = &f,
				.n_frames = 1};

	wait_on_stack(t, &o);
}

static void on_look(struct wait_table *t, pid_t tid, uint64_t offset, bool whole, uint64_t time_ns)
{
	struct frame f = {.module = 7, .offset = offset};
	struct wait_look l = {
		.tid = tid, .time_ns = time_ns, .frames = &f, .n_frames = 1, .whole = whole};

	wait_on_look(t, &l);
}

static uint64_t ends_lost(const struct wait_table *t)
{
	struct wait_stats s;

	wait_stats(t, &s);
	return s.ends_lost;
}

static void test_a_sampled_wait(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	on_stack(t, 10, 0x100, 3, 5 * MS);
	wait_on_out(t, 1, 10, false, 5 * MS + 100);
	wait_on_in(t, 10, 8 * MS);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.waits[0].tid, 10);
	assert_int_equal(seen.waits[0].stack, WAIT_STACK_SAMPLED);
	assert_int_equal(seen.waits[0].count, 1);
	assert_int_equal(seen.waits[0].ns, 3 * MS);
	assert_int_equal(seen.waits[0].weight, 3);
	assert_true(seen.waits[0].chance);
	assert_int_equal(seen.first_frame[0], 0x100);
	wait_on_in(t, 10, 9 * MS); /* it runs already */
	wait_flush(t, 10 * MS);
	assert_int_equal(seen.n, 1);
	wait_table_free(t);
}

static void test_waits_without_a_stack_are_summed_by_length(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	for (uint64_t i = 0; i < 100; i++) {
		wait_on_out(t, 1, 10, false, i * 10 * MS);
		wait_on_in(t, 10, (i * 10 + 1) * MS);
	}
	wait_on_out(t, 1, 10, false, 2000 * MS);
	wait_on_in(t, 10, 3000 * MS);
	assert_int_equal(seen.n, 0);
	wait_flush(t, 3000 * MS);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.waits[0].stack, WAIT_STACK_NONE);
	assert_int_equal(seen.waits[0].count, 100);
	assert_int_equal(seen.waits[0].ns, 100 * MS);
	assert_int_equal(seen.waits[0].class, wait_class(MS));
	assert_int_equal(seen.waits[1].count, 1);
	assert_int_equal(seen.waits[1].ns, 1000 * MS);
	assert_true(wait_class(MS) != wait_class(1000 * MS));
	wait_flush(t, 3000 * MS);
	assert_int_equal(seen.n, 2);
	wait_table_free(t);
}

static void test_classes(void **state)
{
	assert_int_equal(wait_class(0), 0);
	assert_int_equal(wait_class(4095), 0);
	assert_int_equal(wait_class(4096), 1);
	assert_int_equal(wait_class(UINT64_MAX), WAIT_CLASSES - 1);
	for (unsigned shift = 12; shift < 40; shift++)
		assert_true(wait_class(1ULL << shift) == wait_class(1ULL << (shift - 1)) ||
			    wait_class(1ULL << shift) == wait_class(1ULL << (shift - 1)) + 1);
}

static void test_preemption_is_no_wait(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	on_stack(t, 10, 0x100, 1, MS);
	wait_on_out(t, 1, 10, true, MS + 100);
	wait_on_in(t, 10, 5 * MS);
	wait_on_out(t, 1, 10, true, 6 * MS);
	wait_on_in(t, 10, 7 * MS);
	wait_flush(t, 10 * MS);
	assert_int_equal(seen.n, 0);
	wait_table_free(t);
}

/* 10 waits, and then does something that only a running thread can do. */
static void test_a_lost_switch_in_cuts_the_wait(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	on_stack(t, 10, 0x100, 1, MS);
	wait_on_out(t, 1, 10, false, MS);
	wait_on_lost(t, 4 * MS);
	wait_on_out(t, 1, 10, false, 20 * MS);
	assert_int_equal(ends_lost(t), 1);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.waits[0].ns, 3 * MS);
	wait_on_in(t, 10, 22 * MS); /* and the next wait is right */
	wait_flush(t, 30 * MS);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.waits[1].ns, 2 * MS);
	/* the same, seen by a stack; nothing was said to be lost since */
	wait_on_out(t, 1, 10, false, 40 * MS);
	on_stack(t, 10, 0x200, 1, 50 * MS);
	wait_on_out(t, 1, 10, false, 50 * MS);
	wait_on_in(t, 10, 51 * MS);
	assert_int_equal(ends_lost(t), 2);
	assert_int_equal(seen.waits[2].ns, MS);
	assert_int_equal(seen.first_frame[2], 0x200);
	wait_table_free(t);
}

static void test_a_lost_switch_out_is_known_by_its_stack(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	on_stack(t, 10, 0x100, 1, MS);
	wait_on_in(t, 10, 4 * MS);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.waits[0].ns, 3 * MS);
	wait_table_free(t);
}

/* Time cannot run backwards far, but records of two CPUs may cross. */
static void test_out_of_order(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	wait_on_in(t, 10, 5 * MS);
	wait_on_out(t, 1, 10, false, 4 * MS);
	wait_on_in(t, 10, 3 * MS);
	wait_flush(t, 10 * MS);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.waits[0].ns, 0);
	wait_table_free(t);
}

static void test_an_id_comes_to_another_thread(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	wait_on_out(t, 1, 10, false, MS);
	wait_on_in(t, 10, 2 * MS);
	wait_on_exit(t, 10, 3 * MS);
	assert_int_equal(seen.n, 1); /* handed over while it is known whose it was */
	assert_int_equal(seen.waits[0].pid, 1);
	wait_on_out(t, 1, 10, false, 3 * MS); /* the last switch of a zombie */
	wait_flush(t, 10 * MS);
	assert_int_equal(seen.n, 1);
	wait_on_start(t, 10);
	wait_on_out(t, 2, 10, false, 11 * MS);
	wait_on_in(t, 10, 12 * MS);
	wait_flush(t, 20 * MS);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.waits[1].pid, 2);
	/* an end that was not heard of */
	wait_on_out(t, 2, 10, false, 21 * MS);
	wait_on_start(t, 10);
	wait_on_out(t, 3, 10, false, 50 * MS);
	wait_on_in(t, 10, 51 * MS);
	wait_flush(t, 60 * MS);
	for (size_t i = 2; i < seen.n; i++)
		assert_true(seen.waits[i].pid == 3 ? seen.waits[i].ns == MS
						   : seen.waits[i].ns == 0);
	wait_table_free(t);
}

static void test_what_goes_on_is_cut_at_a_flush(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	on_stack(t, 10, 0x100, 2, MS);
	wait_on_out(t, 1, 10, false, MS);
	wait_flush(t, 3 * MS);
	wait_flush(t, 3 * MS);
	assert_int_equal(seen.n, 1);
	assert_true(seen.waits[0].goes_on);
	assert_int_equal(seen.waits[0].count, 0);
	assert_int_equal(seen.waits[0].ns, 2 * MS);
	wait_on_in(t, 10, 8 * MS);
	assert_int_equal(seen.n, 2);
	assert_false(seen.waits[1].goes_on);
	assert_int_equal(seen.waits[1].count, 1);
	assert_int_equal(seen.waits[1].ns, 5 * MS);
	assert_int_equal(seen.first_frame[1], 0x100);
	wait_table_free(t);
}

static void test_found_asleep(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);
	struct wait_thread list[4];

	wait_on_found(t, 1, 10, 2 * MS); /* wakes later */
	wait_on_found(t, 1, 11, 2 * MS); /* ran when watching began */
	wait_on_found(t, 1, 12, 2 * MS); /* hangs */
	assert_int_equal(wait_list_unknown(t, 3 * MS, list, 4), 3);
	assert_true(list[0].before);
	wait_on_in(t, 10, 6 * MS);
	wait_on_out(t, 1, 11, false, 4 * MS);
	wait_on_in(t, 11, 5 * MS);
	on_look(t, 12, 0x300, false, 3 * MS);
	wait_flush(t, 10 * MS);
	assert_int_equal(ends_lost(t), 0);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.waits[0].tid, 10);
	assert_int_equal(seen.waits[0].stack, WAIT_STACK_BEFORE);
	assert_int_equal(seen.waits[0].ns, 4 * MS);
	for (size_t i = 1; i < 3; i++)
		if (seen.waits[i].tid == 12) {
			assert_int_equal(seen.waits[i].stack, WAIT_STACK_LOOKED);
			assert_int_equal(seen.waits[i].ns, 8 * MS);
			assert_false(seen.waits[i].chance);
			assert_int_equal(seen.first_frame[i], 0x300);
		} else {
			assert_int_equal(seen.waits[i].tid, 11);
			assert_int_equal(seen.waits[i].ns, MS);
		}
	wait_table_free(t);
}

static void test_a_look_that_came_too_late(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);
	struct wait_thread list[4];

	wait_on_out(t, 1, 10, false, MS);
	assert_int_equal(wait_list_unknown(t, MS, list, 4), 0);
	assert_int_equal(wait_list_unknown(t, 2 * MS, list, 4), 1);
	assert_false(list[0].before);
	on_look(t, 10, 0x100, true, 9 * MS);
	assert_int_equal(wait_list_unknown(t, 2 * MS, list, 4), 0);
	wait_on_in(t, 10, 8 * MS); /* it was another wait that was seen */
	assert_int_equal(seen.n, 0);
	wait_on_out(t, 1, 10, false, 10 * MS);
	on_look(t, 10, 0x200, true, 15 * MS);
	wait_on_in(t, 10, 20 * MS);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.first_frame[0], 0x200);
	assert_false(seen.waits[0].chance); /* its stack is whole */
	wait_on_out(t, 1, 10, false, 30 * MS);
	on_look(t, 10, 0x200, false, 35 * MS);
	wait_on_in(t, 10, 40 * MS);
	assert_true(seen.waits[1].chance);
	wait_table_free(t);
}

static void test_all_unknown_get_their_turn(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);
	struct wait_thread list[3];
	unsigned times[10] = {0};

	for (pid_t tid = 1; tid < 10; tid++)
		wait_on_out(t, 1, tid, false, MS);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wait_list_unknown(t, 2 * MS, list, 3), 3);
		for (int j = 0; j < 3; j++)
			times[list[j].tid]++;
	}
	for (pid_t tid = 1; tid < 10; tid++)
		assert_int_equal(times[tid], 1);
	wait_table_free(t);
}

static void test_ignored(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);

	wait_on_out(t, 1, 10, false, MS);
	wait_ignore(t, 1, 10);
	wait_on_in(t, 10, 2 * MS);
	on_stack(t, 10, 0x100, 1, 3 * MS);
	wait_on_out(t, 1, 10, false, 3 * MS);
	wait_flush(t, 9 * MS);
	assert_int_equal(seen.n, 0);
	wait_on_start(t, 10); /* another one */
	wait_on_out(t, 1, 10, false, 10 * MS);
	wait_on_in(t, 10, 11 * MS);
	wait_flush(t, 12 * MS);
	assert_int_equal(seen.n, 1);
	wait_table_free(t);
}

static void test_strange_ids(void **state)
{
	static const pid_t ids[] = {0, -1, INT32_MIN, INT32_MAX, 1 << 22};
	struct seen seen;
	struct wait_table *t = new_table(&seen);
	struct wait_stats stats;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		on_stack(t, ids[i], 0x100, 1, MS);
		wait_on_out(t, 1, ids[i], false, MS);
		wait_on_out(t, 1, ids[i], true, MS);
		wait_on_in(t, ids[i], 2 * MS);
		wait_on_start(t, ids[i]);
		wait_on_exit(t, ids[i], 3 * MS);
		wait_on_found(t, 1, ids[i], MS);
		wait_ignore(t, 1, ids[i]);
		on_look(t, ids[i], 0x100, true, MS);
	}
	wait_on_out(t, -1, 5, false, MS);
	wait_flush(t, 9 * MS);
	wait_stats(t, &stats);
	assert_int_equal(seen.n, 0);
	assert_int_equal(stats.threads, 0);
	wait_table_free(t);
	wait_table_free(NULL);
}

static void test_a_full_table_counts(void **state)
{
	struct seen seen;
	struct wait_table *t = new_table(&seen);
	struct wait_stats stats;

	for (pid_t tid = 1; tid <= PROFD_MAX_WAITING + 3; tid++)
		wait_on_out(t, 1, tid, false, MS);
	wait_stats(t, &stats);
	assert_int_equal(stats.threads, PROFD_MAX_WAITING);
	assert_int_equal(stats.threads_refused, 3);
	wait_on_exit(t, 1, 2 * MS);
	wait_on_out(t, 1, PROFD_MAX_WAITING + 9, false, MS);
	wait_stats(t, &stats);
	assert_int_equal(stats.threads, PROFD_MAX_WAITING);
	assert_int_equal(stats.threads_refused, 3);
	wait_table_free(t);
}

static void test_modules_of_waits_are_kept(void **state)
{
	struct module_key one = {.inode = 1}, two = {.inode = 2};
	struct module_table *modules;
	struct frame frame = {0};
	struct wait_origin origin = {
		.pid = 1, .tid = 5, .time_ns = 100, .weight = 1, .frames = &frame, .n_frames = 1};
	struct seen seen = {0};
	struct wait_table *t = new_table(&seen);
	uint32_t other;

	assert_int_equal(module_table_new(&modules), 0);
	frame.module = module_get_file(modules, "/one", &one)->id;
	other = module_get_file(modules, "/two", &two)->id;
	wait_on_stack(t, &origin);
	wait_on_out(t, 1, 5, false, 100);
	wait_on_out(t, 1, 6, false, 200);
	wait_keep_modules(t, modules);
	module_sweep(modules, 3600 * NSEC_PER_SEC);
	assert_non_null(module_by_id(modules, frame.module));
	assert_null(module_by_id(modules, other));
	wait_on_in(t, 5, 300);
	wait_keep_modules(t, modules);
	module_sweep(modules, 7200 * NSEC_PER_SEC);
	assert_null(module_by_id(modules, frame.module));
	wait_table_free(t);
	module_table_free(modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sampled_wait),
		cmocka_unit_test(test_waits_without_a_stack_are_summed_by_length),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_preemption_is_no_wait),
		cmocka_unit_test(test_a_lost_switch_in_cuts_the_wait),
		cmocka_unit_test(test_a_lost_switch_out_is_known_by_its_stack),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_an_id_comes_to_another_thread),
		cmocka_unit_test(test_what_goes_on_is_cut_at_a_flush),
		cmocka_unit_test(test_found_asleep),
		cmocka_unit_test(test_a_look_that_came_too_late),
		cmocka_unit_test(test_all_unknown_get_their_turn),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_strange_ids),
		cmocka_unit_test(test_a_full_table_counts),
		cmocka_unit_test(test_modules_of_waits_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
