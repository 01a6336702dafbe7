#include "daemon/profile/window.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"

struct window {
	struct windows *owner;
	struct window *prev, *next;
	struct aggregate *samples;
	struct aggregate *fresh; /* while windows_reshape() is at work */
	struct window_moment start;
};

struct windows {
	struct window *first;
	size_t count;
	size_t n_values;
	uint32_t lost_module;
	uint64_t refused;
};

static struct sample lost_sample(const struct frame *frame, const int64_t *values, size_t n_values)
{
	struct sample s = {.frames = frame, .n_frames = 1};

	memcpy(s.values, values, n_values * sizeof(*values));
	return s;
}

/* An aggregate that is full still adds to what it holds, so the entry for what
 * is lost is made first, worth nothing yet. */
static int new_aggregate(const struct windows *ws, struct aggregate **ret)
{
	static const int64_t nothing[SAMPLE_VALUES_MAX];
	struct frame frame = {.module = ws->lost_module};
	struct sample s = lost_sample(&frame, nothing, ws->n_values);
	struct aggregate *a;
	int r = aggregate_new(ws->n_values, PROFD_MAX_WINDOW_STACKS, &a);

	if (r < 0)
		return r;
	aggregate_limit_bytes(a, PROFD_MAX_WINDOW_BYTES);
	if (ws->lost_module)
		r = aggregate_add(a, &s);
	if (r < 0) {
		aggregate_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

int windows_new(struct windows **ret_windows)
{
	struct windows *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return -ENOMEM;
	ws->n_values = 2; /* samples, nanoseconds */
	*ret_windows = ws;
	return 0;
}

void windows_set_shape(struct windows *ws, size_t n_values, uint32_t lost_module)
{
	assert(!ws->first && n_values <= SAMPLE_VALUES_MAX);
	ws->n_values = n_values;
	ws->lost_module = lost_module;
}

int windows_reshape(struct windows *ws, size_t n_values, const struct window_moment *now)
{
	size_t before = ws->n_values;
	int r = 0;

	assert(n_values <= SAMPLE_VALUES_MAX);
	ws->n_values = n_values;
	for (struct window *w = ws->first; w && r == 0; w = w->next)
		r = new_aggregate(ws, &w->fresh);
	if (r < 0)
		ws->n_values = before;
	for (struct window *w = ws->first; w; w = w->next) {
		struct aggregate *old = r == 0 ? w->samples : w->fresh;

		if (r == 0) {
			w->samples = w->fresh;
			w->start = *now;
		}
		aggregate_free(old);
		w->fresh = NULL;
	}
	return r;
}

void windows_free(struct windows *ws)
{
	if (!ws)
		return;
	while (ws->first)
		window_close(ws->first);
	free(ws);
}

int window_open(struct windows *ws, const struct window_moment *now, struct window **ret_window)
{
	struct window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = new_aggregate(ws, &w->samples);
	if (r < 0) {
		free(w);
		return r;
	}
	w->owner = ws;
	w->start = *now;
	w->next = ws->first;
	if (w->next)
		w->next->prev = w;
	ws->first = w;
	ws->count++;
	*ret_window = w;
	return 0;
}

struct window *window_close(struct window *w)
{
	if (!w)
		return NULL;
	if (w->prev)
		w->prev->next = w->next;
	else
		w->owner->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->owner->count--;
	aggregate_free(w->samples);
	free(w);
	return NULL;
}

static void add_lost(struct window *w, const int64_t *values)
{
	struct frame frame = {.module = w->owner->lost_module};
	struct sample s = lost_sample(&frame, values, w->owner->n_values);

	if (frame.module)
		(void)aggregate_add(w->samples, &s);
}

void window_add(struct window *w, const struct sample *s)
{
	if (aggregate_add(w->samples, s) < 0) {
		w->owner->refused++;
		add_lost(w, s->values);
	}
}

void windows_add(struct windows *ws, const struct sample *s)
{
	for (struct window *w = ws->first; w; w = w->next)
		window_add(w, s);
}

void windows_add_lost(struct windows *ws, const int64_t *values)
{
	for (struct window *w = ws->first; w; w = w->next)
		add_lost(w, values);
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now - min(now, then);
}

void window_peek(const struct window *w, const struct window_moment *now,
		 struct window_span *ret_span)
{
	struct window_span span = {
		.samples = w->samples,
		.start_unix_ns = w->start.unix_ns,
		.duration_ns = (int64_t)since(now->mono_ns, w->start.mono_ns),
	};

	for (size_t i = 0; i < WINDOW_COUNTERS; i++)
		span.counters[i] = since(now->counters[i], w->start.counters[i]);
	*ret_span = span;
}

int window_take(struct window *w, const struct window_moment *now, struct window_span *ret_span)
{
	struct aggregate *fresh;
	int r = new_aggregate(w->owner, &fresh);

	if (r < 0)
		return r;
	window_peek(w, now, ret_span);
	w->samples = fresh;
	w->start = *now;
	return 0;
}

void windows_keep_modules(const struct windows *ws, struct module_table *modules)
{
	for (const struct window *w = ws->first; w; w = w->next) {
		size_t n;
		const struct frame *frames = aggregate_frames(w->samples, &n);
		uint32_t last = 0;

		for (size_t i = 0; i < n; i++) {
			if (frames[i].module != last)
				module_keep_id(modules, frames[i].module);
			last = frames[i].module;
		}
	}
}

bool window_has_process(const struct window *w, pid_t pid)
{
	for (size_t i = 0; i < aggregate_count(w->samples); i++) {
		struct aggregate_entry e;

		aggregate_entry(w->samples, i, &e);
		if (e.labels.pid == pid)
			return true;
	}
	return false;
}

size_t windows_bytes(const struct windows *ws)
{
	size_t bytes = 0;

	for (const struct window *w = ws->first; w; w = w->next)
		bytes += aggregate_bytes(w->samples);
	return bytes;
}

bool window_is_full(const struct window *w)
{
	return aggregate_is_full(w->samples);
}

size_t windows_count(const struct windows *ws)
{
	return ws->count;
}

uint64_t windows_refused(const struct windows *ws)
{
	return ws->refused;
}
