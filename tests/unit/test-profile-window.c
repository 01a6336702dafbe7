/*
 * daemon/profile/window: spans of time, what was counted in them, and what a
 * window has no room for. The clocks are the test's.
 */
#include "daemon/profile/window.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/limits.h"

#define LOST   77 /* a module */
#define SECOND ((int64_t)NSEC_PER_SEC)

static struct windows *open_windows(struct window **ret_window, const struct window_moment *start)
{
	struct windows *ws;

	assert_int_equal(windows_new(&ws), 0);
	windows_set_shape(ws, 2, LOST);
	assert_int_equal(window_open(ws, start, ret_window), 0);
	return ws;
}

static void add(struct windows *ws, uint64_t offset, int64_t value)
{
	struct frame frame = {1, offset};
	struct sample s = {.frames = &frame, .n_frames = 1, .values = {value, 10 * value}};

	windows_add(ws, &s);
}

struct found {
	int64_t lost[2], others[2];
	size_t n_lost, n_others;
};

static int find(const struct sample *s, void *userdata)
{
	struct found *f = userdata;
	bool lost = s->n_frames == 1 && s->frames[0].module == LOST;

	for (int i = 0; i < 2; i++)
		*(lost ? &f->lost[i] : &f->others[i]) += s->values[i];
	if (lost)
		assert_int_equal(s->labels.pid, 0);
	f->n_lost += lost;
	f->n_others += !lost;
	return 0;
}

static struct found look(const struct window_span *span)
{
	struct found f = {0};

	assert_int_equal(aggregate_each(span->samples, find, &f), 0);
	return f;
}

static void test_length_is_not_the_wall_clocks(void **state)
{
	struct window_moment start = {.unix_ns = 1000 * SECOND, .mono_ns = 50 * NSEC_PER_SEC};
	/* the wall clock is set back by a day, and then forward by ten years */
	struct window_moment back = {.unix_ns = -85400 * SECOND, .mono_ns = 60 * NSEC_PER_SEC};
	struct window_moment ahead = {.unix_ns = 315360000 * SECOND, .mono_ns = 63 * NSEC_PER_SEC};
	struct window_span span;
	struct window *w;
	struct windows *ws = open_windows(&w, &start);

	window_peek(w, &back, &span);
	assert_int_equal(span.start_unix_ns, 1000 * SECOND);
	assert_int_equal(span.duration_ns, 10 * SECOND);
	assert_int_equal(window_take(w, &back, &span), 0);
	assert_int_equal(span.duration_ns, 10 * SECOND);
	aggregate_free(span.samples);
	assert_int_equal(window_take(w, &ahead, &span), 0);
	assert_int_equal(span.start_unix_ns, -85400 * SECOND);
	assert_int_equal(span.duration_ns, 3 * SECOND);
	aggregate_free(span.samples);
	window_peek(w, &start, &span); /* no clock that is monotonic does this */
	assert_int_equal(span.duration_ns, 0);
	windows_free(ws);
}

static void test_counters_are_of_the_span(void **state)
{
	struct window_moment now = {.counters = {5, 0, 100}};
	struct window_span span;
	struct window *w, *later;
	struct windows *ws = open_windows(&w, &now);

	now.counters[0] = 7;
	assert_int_equal(window_open(ws, &now, &later), 0);
	now.counters[0] = 10;
	now.counters[1] = 1;
	window_peek(later, &now, &span);
	assert_int_equal(span.counters[0], 3);
	assert_int_equal(window_take(w, &now, &span), 0);
	assert_int_equal(span.counters[0], 5);
	assert_int_equal(span.counters[1], 1);
	assert_int_equal(span.counters[2], 0);
	aggregate_free(span.samples);
	window_peek(w, &now, &span);
	assert_int_equal(span.counters[0], 0);
	windows_free(ws);
}

static void test_lost_samples_are_one_entry_of_every_window(void **state)
{
	struct window_moment now = {0};
	struct window_span span;
	struct window *w, *second;
	struct windows *ws = open_windows(&w, &now);
	struct found f;

	window_peek(w, &now, &span);
	f = look(&span);
	assert_int_equal(f.lost[0], 0); /* and so is left out of a profile */
	windows_add_lost(ws, (int64_t[]){3, 30});
	assert_int_equal(window_open(ws, &now, &second), 0);
	windows_add_lost(ws, (int64_t[]){4, 40});
	add(ws, 1, 1);
	window_peek(w, &now, &span);
	f = look(&span);
	assert_int_equal(f.n_lost, 1);
	assert_int_equal(f.lost[0], 7);
	assert_int_equal(f.lost[1], 70);
	assert_int_equal(f.others[1], 10);
	window_peek(second, &now, &span);
	assert_int_equal(look(&span).lost[0], 4);
	windows_free(ws);
}

static void test_what_a_full_window_refuses_is_lost(void **state)
{
	const uint64_t n = PROFD_MAX_WINDOW_STACKS + 1000;
	struct window_moment now = {0};
	struct window_span span;
	struct window *w;
	struct windows *ws = open_windows(&w, &now);
	struct found f;

	for (uint64_t i = 0; i < n; i++)
		add(ws, i, 2);
	windows_add_lost(ws, (int64_t[]){5, 50});
	window_peek(w, &now, &span);
	f = look(&span);
	assert_int_equal(f.lost[0] + f.others[0], 2 * n + 5);
	assert_int_equal(f.lost[1] + f.others[1], 20 * n + 50);
	assert_true(f.lost[0] >= 2000 + 5);
	assert_int_equal(windows_refused(ws), (f.lost[0] - 5) / 2);
	assert_int_equal(aggregate_refused(span.samples), windows_refused(ws));
	windows_free(ws);
}

static void test_samples_may_become_of_another_shape(void **state)
{
	struct window_moment start = {.mono_ns = 5}, now = {.mono_ns = 9, .counters = {3}};
	struct frame frame = {1, 4};
	struct sample three = {.frames = &frame, .n_frames = 1, .values = {1, 2, 3}};
	struct window *first, *second;
	struct windows *ws = open_windows(&first, &start);
	int64_t lost[] = {4, 5, 6};

	assert_int_equal(window_open(ws, &start, &second), 0);
	add(ws, 1, 10);
	assert_int_equal(windows_reshape(ws, 3, &now), 0);
	windows_add(ws, &three);
	windows_add_lost(ws, lost);
	for (int i = 0; i < 2; i++) {
		struct window_span span;
		struct aggregate_entry e;

		window_peek(i ? first : second, &now, &span);
		assert_int_equal(span.duration_ns, 0);
		assert_int_equal(span.counters[0], 0);
		assert_int_equal(aggregate_count(span.samples), 2);
		aggregate_entry(span.samples, 0, &e); /* the one that is lost is always there */
		assert_int_equal(e.values[2], 6);
		aggregate_entry(span.samples, 1, &e);
		assert_int_equal(e.values[2], 3);
	}
	windows_free(ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_is_not_the_wall_clocks),
		cmocka_unit_test(test_counters_are_of_the_span),
		cmocka_unit_test(test_lost_samples_are_one_entry_of_every_window),
		cmocka_unit_test(test_what_a_full_window_refuses_is_lost),
		cmocka_unit_test(test_samples_may_become_of_another_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
