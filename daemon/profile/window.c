#include "daemon/profile/window.h"

#include <errno.h>

#include "profd/base.h"
#include "profd/limits.h"

struct window {
	struct windows *owner;
	struct window *prev, *next;
	struct aggregate *samples;
	int64_t start_unix_ns;
};

struct windows {
	struct window *first;
	size_t count;
	uint64_t refused;
};

static int new_aggregate(struct aggregate **ret)
{
	return aggregate_new(2, PROFD_MAX_WINDOW_STACKS, ret); /* samples, nanoseconds */
}

int windows_new(struct windows **ret_windows)
{
	struct windows *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return -ENOMEM;
	*ret_windows = ws;
	return 0;
}

void windows_free(struct windows *ws)
{
	if (!ws)
		return;
	while (ws->first)
		window_close(ws->first);
	free(ws);
}

int window_open(struct windows *ws, int64_t now_unix_ns, struct window **ret_window)
{
	struct window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = new_aggregate(&w->samples);
	if (r < 0) {
		free(w);
		return r;
	}
	w->owner = ws;
	w->start_unix_ns = now_unix_ns;
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

void windows_add(struct windows *ws, const struct sample *s)
{
	for (struct window *w = ws->first; w; w = w->next)
		if (aggregate_add(w->samples, s) < 0)
			ws->refused++;
}

void window_peek(const struct window *w, int64_t now_unix_ns, struct window_span *ret_span)
{
	*ret_span = (struct window_span){
		.samples = w->samples,
		.start_unix_ns = w->start_unix_ns,
		.duration_ns = max(now_unix_ns - w->start_unix_ns, (int64_t)0),
	};
}

int window_take(struct window *w, int64_t now_unix_ns, struct window_span *ret_span)
{
	struct aggregate *fresh;
	int r = new_aggregate(&fresh);

	if (r < 0)
		return r;
	window_peek(w, now_unix_ns, ret_span);
	w->samples = fresh;
	w->start_unix_ns = now_unix_ns;
	return 0;
}

size_t windows_count(const struct windows *ws)
{
	return ws->count;
}

uint64_t windows_refused(const struct windows *ws)
{
	return ws->refused;
}
