/*
 * States: waiting for its time, measuring (with seconds_ns), dumping. Each
 * dump holds a `ticket` with a pointer back; a cancelled series leaves its
 * tickets behind with that pointer cleared, so a late answer finds nobody.
 */
#include "daemon/control/series.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "daemon/control/losses.h"
#include "daemon/control/series-state.h"
#include "daemon/control/sight.h"
#include "profd/base.h"
#include "profd/limits.h"

static void series_free(struct series *s)
{
	while (s->targets) {
		struct target *t = s->targets;

		s->targets = t->next;
		heap_client_unref(t->client);
		free(t);
	}
	for (struct ticket *t = s->tickets; t; t = t->next)
		t->series = NULL;
	window_close(s->window);
	s->ctx->offcpu_close(s->ctx->engine, s->offcpu);
	s->ctx->trace_close(s->ctx->engine, s->trace);
	measure_end(&s->waits);
	sd_event_source_disable_unref(s->timer);
	DL_DELETE(s->ctx->series, s);
	free(s);
}

void series_cancel(struct series *s)
{
	if (s)
		series_free(s);
}

/* ---- steps */

static void step_end(struct series *s);

static void ticket_free(struct ticket *t)
{
	if (t->series) {
		struct ticket **at = &t->series->tickets;

		while (*at != t)
			at = &(*at)->next;
		*at = t->next;
	}
	heap_client_unref(t->client);
	free(t);
}

static struct ticket *ticket_new(struct series *s, struct heap_client *client)
{
	struct ticket *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->series = s;
	t->client = client ? heap_client_ref(client) : NULL;
	t->next = s->tickets;
	s->tickets = t;
	s->pending++;
	return t;
}

static void on_dump_done(const struct dump_result *result, void *userdata)
{
	struct ticket *t = userdata;
	struct series *s = t->series;

	if (s) {
		s->pending--;
		if (result->error < 0) {
			series_tell_missing(s, result->type, t->client, result->why);
		} else {
			s->files++;
			if (s->handlers.on_file)
				s->handlers.on_file(result, s->index, s->userdata);
		}
	}
	ticket_free(t);
	if (s)
		step_end(s);
}

/* A dump that could not be begun. */
static void ticket_fail(struct series *s, struct ticket *t, const char *type, int error)
{
	series_tell_missing(s, type, t ? t->client : NULL, strerror(-error));
	if (t) {
		s->pending--;
		ticket_free(t);
	}
}

/* A program may have forbidden to be looked into since it attached. */
static bool may_see(const struct series *s, const struct heap_client *c)
{
	return s->spec.any_uid || sight_check_process(s->ctx, s->spec.uid, c->pid) == 0;
}

static void step_heap(struct series *s)
{
	for (struct target *t = s->targets; t; t = t->next) {
		struct ticket *ticket = ticket_new(s, t->client);
		int r;

		if (!may_see(s, t->client)) {
			ticket_fail(s, ticket, "heap", -EACCES);
			continue;
		}
		r = ticket ? dump_heap(s->ctx, t->client, &s->spec.options, on_dump_done, ticket)
			   : -ENOMEM;

		if (r < 0)
			ticket_fail(s, ticket, "heap", r);
	}
}

static void dump_kind(struct series *s, struct heap_client *client, enum heap_kind kind)
{
	const struct heap_waits_mark *mark = measure_find(s->waits, client);
	const char *type = heap_waits_name(kind);
	struct ticket *ticket;
	int r = -ENOMEM;

	if (!mark && kind != HEAP_KIND_THREADCREATE && !heap_waits_always(client)) {
		series_tell_missing(s, type, client,
			     s->spec.seconds_ns ? "it came while the others were measured"
						: "it is not measuring: ask for --seconds");
		return;
	}
	ticket = ticket_new(s, client);
	if (!may_see(s, client))
		r = -EACCES;
	else if (ticket)
		r = dump_waits(s->ctx, client, kind, mark, mark ? s->spec.seconds_ns : 0,
			       &s->spec.options, on_dump_done, ticket);
	if (r < 0)
		ticket_fail(s, ticket, type, r);
}

static void step_waits(struct series *s)
{
	for (struct target *t = s->targets; t; t = t->next)
		for (enum heap_kind k = HEAP_KIND_BLOCK; k <= HEAP_KIND_THREADCREATE; k++)
			if (s->spec.waits & HEAP_WAITS_BIT(k))
				dump_kind(s, t->client, k);
}

/* The span that this step's CPU profile is of. The first step without a length
 * of its own looks at the current window; from then on the series has its own. */
static int step_span(struct series *s, struct window_span *ret_span, bool *ret_owned)
{
	struct window_moment now;

	s->ctx->drain(s->ctx->engine);
	losses_moment(s->ctx, &now);
	if (s->window || s->spec.rotation) {
		*ret_owned = true;
		return window_take(s->window ?: s->ctx->rotation, &now, ret_span);
	}
	*ret_owned = false;
	window_peek(s->ctx->rotation, &now, ret_span);
	return s->spec.count == 1 ? 0 : window_open(s->ctx->windows, &now, &s->window);
}

static struct dump_filter filter_of(const struct series *s)
{
	return (struct dump_filter){
		.pid = s->spec.pid,
		.comm = *s->spec.comm ? s->spec.comm : NULL,
		.unit = *s->spec.unit ? s->spec.unit : NULL,
		.one_user = !s->spec.any_uid,
		.uid = s->spec.uid,
	};
}

static void dump_span(struct series *s, const struct window_span *span, enum profile_type type)
{
	struct dump_filter filter = filter_of(s);
	struct dump_options options = s->spec.options;
	struct ticket *ticket = ticket_new(s, NULL);
	int r = -ENOMEM;

	if (type == PROFILE_CPU)
		options.note = s->note;
	if (ticket)
		r = dump_cpu(s->ctx, span, &filter, type, &options, on_dump_done, ticket);
	if (r < 0)
		ticket_fail(s, ticket, profile_type_name(type), r);
}

static void step_cpu(struct series *s)
{
	struct window_span span = {0};
	bool owned = false;
	int r = step_span(s, &span, &owned);

	if (r < 0) {
		ticket_fail(s, NULL, "cpu", r);
		return;
	}
	dump_span(s, &span, PROFILE_CPU);
	s->note = NULL;
	if (owned)
		aggregate_free(span.samples);
}

static void step_offcpu(struct series *s)
{
	struct window *w = s->spec.seconds_ns ? s->offcpu : s->ctx->offcpu;
	struct window_span span = {0};
	int r;

	if (!w) {
		series_tell_missing(s, "offcpu", NULL, s->why);
		return;
	}
	r = s->ctx->offcpu_take(s->ctx->engine, w, &span);
	if (r < 0) {
		ticket_fail(s, NULL, "offcpu", r);
		return;
	}
	dump_span(s, &span, PROFILE_OFFCPU);
	aggregate_free(span.samples);
}

static struct threads_ask ask_of(const struct series *s)
{
	return (struct threads_ask){
		.pid = s->spec.pid,
		.comm = *s->spec.comm ? s->spec.comm : NULL,
		.unit = *s->spec.unit ? s->spec.unit : NULL,
		.any_uid = s->spec.any_uid,
		.uid = s->spec.uid,
	};
}

static void step_trace(struct series *s)
{
	struct dump_filter filter = filter_of(s);
	struct ticket *ticket;
	int r = -ENOMEM;

	if (!s->trace) {
		series_tell_missing(s, "trace", NULL, s->no_trace);
		return;
	}
	ticket = ticket_new(s, NULL);
	if (ticket)
		r = dump_trace(s->ctx, s->trace, &filter, &s->spec.options, on_dump_done, ticket);
	if (r < 0)
		ticket_fail(s, ticket, "trace", r);
}

static void step_threads(struct series *s)
{
	struct threads_ask ask = ask_of(s);
	struct ticket *ticket = ticket_new(s, NULL);
	int r = ticket ? dump_threads(s->ctx, &ask, &s->spec.options, on_dump_done, ticket)
		       : -ENOMEM;

	if (r < 0)
		ticket_fail(s, ticket, "threads", r);
}

static int wait_until(struct series *s, uint64_t mono_ns)
{
	sd_event_source_set_time(s->timer, mono_ns / 1000);
	return sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* When a step's last file is there: wait for the next, or end. */
static void step_end(struct series *s)
{
	bool over = !s->spec.rotation && s->index >= s->spec.count;
	bool nobody = !s->spec.rotation && !s->spec.cpu && !s->spec.offcpu && !s->spec.threads &&
		      !s->spec.trace && !s->targets;

	if (s->pending || s->stepping)
		return;
	if (over || nobody) {
		if (s->handlers.on_done)
			s->handlers.on_done(s->files, s->missing, s->userdata);
		series_free(s);
		return;
	}
	if (s->spec.rotation)
		(void)store_retain(s->ctx->store);
	s->due_mono_ns += s->spec.every_ns;
	wait_until(s, s->due_mono_ns);
}

/* Opens the windows of a step that measures. What cannot be opened is reported
 * when the step ends, or, as to CPU, is what there is. */
static void measure(struct series *s)
{
	struct window_moment now;

	snprintf(s->why, sizeof(s->why), "not wanted");
	if (s->spec.cpu) {
		s->ctx->drain(s->ctx->engine); /* what came before is not part of it */
		losses_moment(s->ctx, &now);
		(void)window_open(s->ctx->windows, &now, &s->window);
	}
	if (s->spec.offcpu)
		(void)s->ctx->offcpu_open(s->ctx->engine, &s->offcpu, s->why, sizeof(s->why));
	if (s->spec.trace) {
		struct threads_ask ask = ask_of(s);

		(void)s->ctx->trace_open(s->ctx->engine, &ask, &s->trace, s->no_trace,
					 sizeof(s->no_trace));
	}
	if (s->spec.waits) {
		series_drop_ended(s);
		series_add_targets(s);
	}
	for (struct target *t = s->targets; s->spec.waits && t; t = t->next)
		(void)measure_add(&s->waits, t->client,
				  clock_mono_ns() + s->spec.seconds_ns + PROFD_WAITS_SLACK_NS);
	s->measuring = true;
}

static void end_measure(struct series *s)
{
	s->window = window_close(s->window);
	s->ctx->offcpu_close(s->ctx->engine, s->offcpu);
	s->offcpu = NULL;
	s->ctx->trace_close(s->ctx->engine, s->trace);
	s->trace = NULL;
	measure_end(&s->waits);
	s->measuring = false;
}

static void step(struct series *s)
{
	s->index++;
	s->stepping = true;
	if (s->spec.heap || s->spec.waits) {
		series_drop_ended(s);
		series_add_targets(s);
	}
	if (s->spec.heap)
		step_heap(s);
	if (s->spec.waits)
		step_waits(s);
	if (s->spec.cpu)
		step_cpu(s);
	if (s->spec.offcpu)
		step_offcpu(s);
	if (s->spec.trace)
		step_trace(s);
	if (s->spec.threads)
		step_threads(s);
	if (s->measuring)
		end_measure(s);
	s->stepping = false;
	step_end(s);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct series *s = userdata;

	if (s->spec.seconds_ns && !s->measuring) {
		measure(s);
		if ((s->window || s->offcpu || s->trace || s->waits) && !s->stopped)
			return wait_until(s, clock_mono_ns() + s->spec.seconds_ns);
	}
	step(s);
	return 0;
}

/* The step that it works towards is done now. The rotation's heaps have their time,
 * and whoever changes the samples begins it anew. */
static void cut(struct series *s, const char *note)
{
	s->note = note;
	if (s->spec.rotation)
		step_cpu(s);
	else
		step(s); /* it may be gone now */
}

void series_cut(struct control_context *ctx, const char *note)
{
	struct series *s, *next;

	DL_FOREACH_SAFE(ctx->series, s, next)
	{
		if (s->spec.cpu && (s->spec.rotation || s->window))
			cut(s, note);
	}
}

void series_stop(struct series *s, const char *note)
{
	if (!s || s->spec.count > 1)
		return;
	snprintf(s->stop_note, sizeof(s->stop_note), "%s", note);
	if (*s->stop_note)
		s->spec.options.note = s->note = s->stop_note;
	s->stopped = true;
	if (s->measuring)
		wait_until(s, clock_mono_ns());
}

int series_start(struct control_context *ctx, const struct series_spec *spec,
		 const struct series_handlers *handlers, void *userdata, struct series **ret_series)
{
	struct series *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->ctx = ctx;
	s->spec = *spec;
	if (!s->spec.cpu && !s->spec.offcpu && !s->spec.trace && !s->spec.waits)
		s->spec.seconds_ns = 0;
	s->handlers = *handlers;
	s->userdata = userdata;
	s->due_mono_ns = clock_mono_ns() + (spec->rotation ? spec->every_ns : 0);
	r = sd_event_add_time(ctx->loop, &s->timer, CLOCK_MONOTONIC, s->due_mono_ns / 1000, 1000,
			      on_timer, s);
	if (r < 0) {
		free(s);
		return r;
	}
	DL_APPEND(ctx->series, s);
	*ret_series = s;
	return 0;
}
