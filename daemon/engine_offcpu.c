/*
 * The off-CPU path: switch and stack -> wait -> every open window of it -> the
 * settled profile. Nothing of this runs, and no switch costs anything, while no
 * window is open.
 *
 * Waits that go on when a window begins or ends are cut there: the window that
 * ends counts them, with the time so far, so that a thread that hangs is seen;
 * to the others it is time only, and the wait counts when it ends.
 *
 * Threads of the kernel wait for work, and are left out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/losses.h"
#include "daemon/cpu/switches.h"
#include "daemon/cpu/wait.h"
#include "daemon/engine_internal.h"
#include "daemon/proc/waiting.h"
#include "daemon/profile/settle.h"
#include "profd/base.h"

/* As for CPU samples: what is younger may still be overtaken. */
#define SETTLE_AFTER_NS (20 * NSEC_PER_MSEC)
#define LOOKS_A_DRAIN	64   /* at threads that wait without a stack, 20 us each */
#define LOOKS_AT_END	1024 /* of a window */

struct offcpu {
	struct windows *windows;
	struct window *ending; /* counts the waits that go on */
	sd_event_source *timer;
	struct module *not_sampled, *before; /* notes */
	uint64_t since_ns;
	unsigned holders;	       /* who want the switches alone */
	struct control_offcpu counted; /* at the last drain */
};

/* ---- waits to windows */

static int64_t times(uint64_t weight, uint64_t value)
{
	int64_t product;

	return __builtin_mul_overflow(weight, value, &product) ? INT64_MAX : product;
}

static void on_wait(const struct wait *w, void *userdata)
{
	struct engine *e = userdata;
	struct offcpu *o = e->offcpu;
	struct process *process = process_get(e->ctx.processes, w->pid);
	struct frame note = {.module = o->not_sampled->id};
	struct sample sample = {
		.frames = w->n_frames > 0 ? w->frames : &note,
		.n_frames = max(w->n_frames, (size_t)1),
		.labels = {.pid = w->pid, .tid = w->tid, .bytes = w->chance ? w->class + 1 : 0},
		.values = {[SETTLE_COUNT] = (int64_t)w->count,
			   [SETTLE_NS] = (int64_t)min(w->ns, (uint64_t)INT64_MAX),
			   [SETTLE_WEIGHTED_COUNT] = times(w->weight, w->count),
			   [SETTLE_WEIGHTED_NS] = times(w->weight, w->ns)},
	};

	/* without mappings: a thread of the kernel */
	if (process ? process->n_maps == 0 : w->n_frames == 0)
		return;
	if (e->tree_only && !(process && process->watched))
		return;
	if (w->stack == WAIT_STACK_BEFORE)
		note.module = o->before->id;
	engine_name_labels(e, process, &sample.labels);
	windows_add(o->windows, &sample);
	if (!w->goes_on || !o->ending)
		return;
	memset(sample.values, 0, sizeof(sample.values));
	sample.values[SETTLE_COUNT] = 1;
	sample.values[SETTLE_WEIGHTED_COUNT] = times(w->weight, 1);
	window_add(o->ending, &sample);
}

/* ---- records to waits */

static void trace_stack(struct engine *e, const struct sampler_sample *s, struct process *process,
			size_t n_frames)
{
	struct sample sample = {
		.frames = e->frames,
		.n_frames = n_frames,
		.labels = {.pid = s->pid, .tid = s->tid},
	};

	if (!e->traces)
		return;
	engine_name_labels(e, process, &sample.labels);
	engine_trace_stack(e, &sample, s->time_ns, true);
}

static void on_stack(const struct sampler_sample *s, void *userdata)
{
	struct engine *e = userdata;
	struct process *process;
	struct wait_origin origin = {
		.pid = s->pid,
		.tid = s->tid,
		.time_ns = s->time_ns,
		.weight = s->period,
		.frames = e->frames,
	};

	if (!s->has_user) {
		wait_ignore(e->ctx.waits, s->pid, s->tid);
		return;
	}
	process = process_get(e->ctx.processes, s->pid);
	origin.n_frames = engine_stack(e, s, process);
	wait_on_stack(e->ctx.waits, &origin);
	trace_stack(e, s, process, origin.n_frames);
}

static void on_switch(const struct switches_switch *s, void *userdata)
{
	struct engine *e = userdata;

	engine_trace_switch(e, s);
	wait_on_out(e->ctx.waits, s->out_pid, s->out_tid, s->preempted, s->time_ns);
	wait_on_in(e->ctx.waits, s->in_tid, s->time_ns);
}

static void on_start(pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	wait_on_start(e->ctx.waits, tid);
}

static void on_gone(pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	wait_on_exit(e->ctx.waits, tid, time_ns);
}

static void on_lost(uint64_t since_ns, void *userdata)
{
	struct engine *e = userdata;

	engine_trace_lost(e, since_ns);
	wait_on_lost(e->ctx.waits, since_ns);
}

/* The counters outlive what counts them. */
static void count(struct engine *e)
{
	struct control_offcpu *now = &e->ctx.offcpu_counted, *before = &e->offcpu->counted;
	struct switches_stats s;
	struct wait_stats w;

	switches_stats(e->ctx.switches, &s);
	wait_stats(e->ctx.waits, &w);
	now->stacks += s.stacks - before->stacks;
	now->stacks_lost += s.stacks_lost - before->stacks_lost;
	now->records_lost += s.records_lost - before->records_lost;
	now->malformed += s.malformed - before->malformed;
	now->ends_lost += w.ends_lost - before->ends_lost;
	now->threads_refused += w.threads_refused - before->threads_refused;
	*before = (struct control_offcpu){
		.stacks = s.stacks,
		.stacks_lost = s.stacks_lost,
		.records_lost = s.records_lost,
		.malformed = s.malformed,
		.ends_lost = w.ends_lost,
		.threads_refused = w.threads_refused,
	};
}

static void drain_switches(struct engine *e, uint64_t horizon_ns)
{
	static const struct switches_handlers handlers = {
		.on_stack = on_stack,
		.on_switch = on_switch,
		.on_start = on_start,
		.on_exit = on_gone,
		.on_lost = on_lost,
	};
	struct unwind_stats before;

	unwinder_stats(e->ctx.unwinder, &before);
	switches_drain(e->ctx.switches, horizon_ns, &handlers, e);
	engine_count_walks(e, &before, e->ctx.offcpu_counted.ends);
	count(e);
}

static void drain(struct engine *e, uint64_t horizon_ns)
{
	engine_drain_to(e, horizon_ns); /* who is who, by then */
	drain_switches(e, horizon_ns);
}

/* Each kind of event has a record of its own of the same end: a little apart. */
void engine_offcpu_catch_up(struct engine *e, uint64_t time_ns)
{
	if (e->offcpu)
		drain_switches(e, time_ns + NSEC_PER_MSEC / 10);
}

/* ---- threads that wait without a stack */

static void look_at(struct engine *e, const struct wait_thread *t)
{
	struct wait_look look = {.tid = t->tid, .frames = e->frames};
	enum unwind_end end;
	struct module *m;
	struct waiting w;
	int r = waiting_look(e->ctx.keeper, t->pid, t->tid, &w);

	if (r == -ESRCH)
		wait_ignore(e->ctx.waits, t->pid, t->tid);
	if (r < 0)
		return;
	look.n_frames = engine_look(e, t->pid, t->tid, &w, &end);
	look.whole = end == UNWIND_COMPLETE;
	if (!look.whole) {
		m = t->before ? e->offcpu->before : e->offcpu->not_sampled;
		e->frames[look.n_frames++] = (struct frame){.module = m->id};
	}
	look.time_ns = clock_mono_ns();
	wait_on_look(e->ctx.waits, &look);
}

static void look(struct engine *e, size_t most, uint64_t before_ns)
{
	struct wait_thread threads[LOOKS_AT_END];
	size_t n =
		wait_list_unknown(e->ctx.waits, before_ns, threads, min(most, LOOKS_AT_END + 0UL));

	for (size_t i = 0; i < n; i++)
		look_at(e, &threads[i]);
}

static void on_found(pid_t pid, pid_t tid, void *userdata)
{
	struct engine *e = userdata;

	wait_on_found(e->ctx.waits, pid, tid, e->offcpu->since_ns);
}

/* ---- as long as somebody asks */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;
	uint64_t now = clock_mono_ns();

	drain(e, now - SETTLE_AFTER_NS);
	switches_adapt(e->ctx.switches, now);
	if (windows_count(e->offcpu->windows) > 0)
		look(e, LOOKS_A_DRAIN, now - SWITCHES_DRAIN_NS);
	sd_event_source_set_time_relative(source, SWITCHES_DRAIN_NS / 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void engine_offcpu_free(struct engine *e)
{
	struct offcpu *o = e->offcpu;

	if (!o)
		return;
	sd_event_source_disable_unref(o->timer);
	switches_free(e->ctx.switches);
	wait_table_free(e->ctx.waits);
	windows_free(o->windows);
	keeper_rest(e->ctx.keeper);
	e->ctx.switches = NULL;
	e->ctx.waits = NULL;
	e->offcpu = NULL;
	free(o);
}

void engine_offcpu_keep_modules(struct engine *e)
{
	if (!e->offcpu)
		return;
	windows_keep_modules(e->offcpu->windows, e->ctx.modules);
	wait_keep_modules(e->ctx.waits, e->ctx.modules);
}

static int make(struct engine *e, char *why, size_t why_size)
{
	struct offcpu *o = e->offcpu;
	int r;

	snprintf(why, why_size, "offcpu: out of memory");
	o->not_sampled = module_get_note(e->ctx.modules, "[stack not sampled]");
	o->before = module_get_note(e->ctx.modules, "[waiting since before]");
	if (!o->not_sampled || !o->before)
		return -ENOMEM;
	if ((r = windows_new(&o->windows)) < 0)
		return r;
	windows_set_shape(o->windows, SETTLE_N, e->missing->id);
	if ((r = wait_table_new(on_wait, e, &e->ctx.waits)) < 0 ||
	    (r = sd_event_add_time_relative(e->ctx.loop, &o->timer, CLOCK_MONOTONIC,
					    SWITCHES_DRAIN_NS / 1000, 1000, on_timer, e)) < 0)
		return r;
	return switches_new(e->ctx.keeper, &(struct switches_config){0}, &e->ctx.switches, why,
			    why_size);
}

static int begin(struct engine *e, char *why, size_t why_size)
{
	int r;

	if (!e->ctx.sampler) { /* it tells who is who */
		snprintf(why, why_size, "offcpu: needs CPU sampling: %s",
			 e->ctx.no_sampler ?: "nothing is watched");
		return -ENOTSUP;
	}
	e->offcpu = calloc(1, sizeof(*e->offcpu));
	if (!e->offcpu) {
		snprintf(why, why_size, "offcpu: out of memory");
		return -ENOMEM;
	}
	r = make(e, why, why_size);
	if (r < 0) {
		engine_offcpu_free(e);
		return r;
	}
	e->offcpu->since_ns = clock_mono_ns();
	r = waiting_scan(e->ctx.keeper, PROFD_MAX_WAITING_SEEN, on_found, e);
	if (r > 0)
		e->ctx.offcpu_counted.threads_refused += (uint64_t)r;
	return 0;
}

int engine_offcpu_open(struct engine *e, struct window **ret_window, char *why, size_t why_size)
{
	struct window_moment now;
	int r = 0;

	if (!e->offcpu) {
		r = begin(e, why, why_size);
	} else {
		drain(e, UINT64_MAX);
		wait_flush(e->ctx.waits, clock_mono_ns());
	}
	if (r < 0)
		return r;
	losses_offcpu_moment(&e->ctx, &now);
	r = window_open(e->offcpu->windows, &now, ret_window);
	if (r < 0) {
		snprintf(why, why_size, "offcpu: out of memory");
		engine_offcpu_close(e, NULL);
	}
	return r;
}

void engine_offcpu_close(struct engine *e, struct window *w)
{
	window_close(w);
	if (e->offcpu && windows_count(e->offcpu->windows) == 0 && e->offcpu->holders == 0)
		engine_offcpu_free(e);
}

int engine_offcpu_hold(struct engine *e, char *why, size_t why_size)
{
	int r = e->offcpu ? 0 : begin(e, why, why_size);

	if (r >= 0)
		e->offcpu->holders++;
	return r;
}

void engine_offcpu_release(struct engine *e)
{
	e->offcpu->holders--;
	engine_offcpu_close(e, NULL);
}

void engine_offcpu_drain(struct engine *e)
{
	drain(e, UINT64_MAX);
}

int engine_offcpu_take(struct engine *e, struct window *w, struct window_span *ret_span)
{
	struct window_moment now;
	struct window_span span;
	struct aggregate *settled;
	int r;

	drain(e, UINT64_MAX);
	look(e, LOOKS_AT_END, UINT64_MAX);
	drain(e, UINT64_MAX); /* whoever woke while we looked */
	losses_offcpu_moment(&e->ctx, &now);
	e->offcpu->ending = w;
	wait_flush(e->ctx.waits, now.mono_ns);
	e->offcpu->ending = NULL;
	r = window_take(w, &now, &span);
	if (r < 0)
		return r;
	span.counters[LOSS_WAITS] = aggregate_refused(span.samples);
	e->ctx.offcpu_counted.waits_refused += span.counters[LOSS_WAITS];
	r = settle_waits(span.samples, &settled);
	aggregate_free(span.samples);
	if (r < 0)
		return r;
	span.samples = settled;
	*ret_span = span;
	return 0;
}
