/*
 * Windows: spans of time over which CPU samples are collected. One sampler
 * feeds any number of them; a sample is added to every window that is open.
 * Taking a window's contents starts its next span.
 */
#pragma once

#include <stdint.h>

#include "daemon/profile/aggregate.h"

struct windows;
struct window;

int windows_new(struct windows **ret_windows);
void windows_free(struct windows *ws); /* closes those still open */

int window_open(struct windows *ws, int64_t now_unix_ns, struct window **ret_window);
struct window *window_close(struct window *w); /* NULL is fine; returns NULL */

/* Adds to all open windows. What a full window refuses is counted in its aggregate. */
void windows_add(struct windows *ws, const struct sample *s);

/* The span so far: the aggregate is the caller's; an empty one takes its place.
 * Returns 0 or -ENOMEM, and then the span goes on. */
struct window_span {
	struct aggregate *samples;
	int64_t start_unix_ns, duration_ns;
};
int window_take(struct window *w, int64_t now_unix_ns, struct window_span *ret_span);

/* As window_take, but the span goes on: for a first look at what is there.
 * *ret_span.samples stays the window's. */
void window_peek(const struct window *w, int64_t now_unix_ns, struct window_span *ret_span);

size_t windows_count(const struct windows *ws);
uint64_t windows_refused(const struct windows *ws); /* samples that full windows refused */
