/*
 * Windows: spans of time over which samples are collected. One sampler
 * feeds any number of them; a sample is added to every window that is open.
 * Taking a window's contents starts its next span.
 *
 * A span begins and ends with a moment: what the clocks said, and a row of
 * counters whose meaning is the caller's. Its length and what was counted in it
 * are differences of the two; the length is taken from a clock that nobody sets
 * (and that stands still while the machine sleeps), so that the wall clock may
 * jump as it likes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/proc/module.h"
#include "daemon/profile/aggregate.h"

#define WINDOW_COUNTERS 25

struct windows;
struct window;

struct window_moment {
	int64_t unix_ns;
	uint64_t mono_ns;		    /* CLOCK_MONOTONIC */
	uint64_t counters[WINDOW_COUNTERS]; /* never go back */
};

int windows_new(struct windows **ret_windows);
void windows_free(struct windows *ws); /* closes those still open */

/* Before the first window is opened: how many values a sample has (2 if never
 * said), and the module that stands for samples that are missing (0: none). */
void windows_set_shape(struct windows *ws, size_t n_values, uint32_t lost_module);

/* All windows begin anew, empty, and samples have so many values from now on.
 * Returns 0, or -ENOMEM and nothing has changed. */
int windows_reshape(struct windows *ws, size_t n_values, const struct window_moment *now);

int window_open(struct windows *ws, const struct window_moment *now, struct window **ret_window);
struct window *window_close(struct window *w); /* NULL is fine; returns NULL */

/* Adds to all open windows. What a window that is full refuses counts in it as
 * lost, as if windows_add_lost() had been called. */
void windows_add(struct windows *ws, const struct sample *s);
void window_add(struct window *w, const struct sample *s); /* to this one only */

/* Adds samples of which nothing is known but their values: one frame, of the
 * module for those that are missing, and no labels. There is always room. */
void windows_add_lost(struct windows *ws, const int64_t *values);

/* The span so far: the aggregate is the caller's; an empty one takes its place.
 * Returns 0 or -ENOMEM, and then the span goes on. */
struct window_span {
	struct aggregate *samples;
	int64_t start_unix_ns, duration_ns;
	uint64_t counters[WINDOW_COUNTERS]; /* counted in it */
};
int window_take(struct window *w, const struct window_moment *now, struct window_span *ret_span);

/* As window_take, but the span goes on: for a first look at what is there.
 * *ret_span.samples stays the window's. */
void window_peek(const struct window *w, const struct window_moment *now,
		 struct window_span *ret_span);

/* Names, for module_sweep(), the modules that frames in the windows are of. */
void windows_keep_modules(const struct windows *ws, struct module_table *modules);

bool window_has_process(const struct window *w, pid_t pid); /* a sample of it */
size_t windows_bytes(const struct windows *ws);		    /* all of them together */
bool window_is_full(const struct window *w);		    /* it refuses what it does not know */
size_t windows_count(const struct windows *ws);
uint64_t windows_refused(const struct windows *ws); /* samples that full windows refused */
