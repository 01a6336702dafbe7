/*
 * Traces: what the CPU path and the off-CPU path see anyway, kept event by event for as
 * long as somebody asks. The switches say who runs and who waits, exactly; a sample of
 * the one adds where time is spent, a stack of the other why a thread waits.
 *
 * Each record is handled when it is drained, in order of time within its path; the two
 * paths are put together by whoever reads the trace. Whose an event is, is asked once a
 * thread: what is not wanted, by the request's pid, name, unit or user, takes no room.
 * Threads that were there before are looked at once, when the trace begins: one that
 * sleeps through all of it has no event of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine_internal.h"
#include "daemon/proc/pids.h"
#include "daemon/proc/waiting.h"
#include "daemon/profile/trace.h"
#include "profd/base.h"

struct tracing {
	struct tracing *next;
	struct trace *trace;
	struct threads_ask ask; /* its names are owned */
};

/* ---- whose */

/* Threads of the kernel have no mappings; nor has a program that is just being started. */
static bool is_kernels(struct engine *e, const struct process *process)
{
	struct waiting w;
	int r = process->n_maps > 0 ? 0
				    : waiting_look(e->ctx.keeper, process->pid, process->pid, &w);

	return r < 0 && r != -EAGAIN;
}

static bool is_wanted(struct engine *e, const struct tracing *t, struct process *process)
{
	const struct threads_ask *ask = &t->ask;
	const char *unit;

	if (!process || (ask->pid && process->pid != ask->pid))
		return false;
	if (e->tree_only && !process->watched)
		return false;
	if (ask->comm && strcmp(process->comm, ask->comm) != 0)
		return false;
	if (!ask->any_uid && process_owner(e->ctx.processes, process) != ask->uid)
		return false;
	unit = ask->unit ? process_unit(e->ctx.processes, process) : NULL;
	if (ask->unit && !(unit && strcmp(unit, ask->unit) == 0))
		return false;
	return !is_kernels(e, process);
}

static uint32_t find_thread(struct engine *e, struct tracing *t, pid_t pid, pid_t tid)
{
	struct sample sample = {.labels = {.pid = pid, .tid = tid}};
	uint32_t entry = TRACE_NO_ENTRY;
	struct process *process;

	if (trace_find_thread(t->trace, tid, &entry) || pid <= 0)
		return entry;
	process = process_get(e->ctx.processes, pid);
	if (is_wanted(e, t, process)) {
		engine_name_labels(e, process, &sample.labels);
		entry = trace_entry(t->trace, &sample);
	}
	trace_set_thread(t->trace, pid, tid, entry);
	return entry;
}

static void add(struct engine *e, pid_t pid, pid_t tid, const struct trace_event *event)
{
	for (struct tracing *t = e->traces; t; t = t->next) {
		struct trace_event one = *event;

		one.entry = find_thread(e, t, pid, tid);
		if (one.entry != TRACE_NO_ENTRY)
			trace_add(t->trace, &one);
	}
}

/* ---- what the paths tell */

void engine_trace_switch(struct engine *e, const struct switches_switch *s)
{
	struct trace_event event = {.time_ns = s->time_ns, .cpu = (uint16_t)s->cpu};

	if (s->out_tid > 0) {
		event.kind = s->preempted ? TRACE_PREEMPTED : TRACE_OUT;
		add(e, s->out_pid, s->out_tid, &event);
	}
	if (s->in_tid > 0) {
		event.kind = TRACE_IN;
		add(e, s->in_pid, s->in_tid, &event);
	}
}

/* A stack is an event of its thread, if that is wanted. */
void engine_trace_stack(struct engine *e, const struct sample *s, uint64_t time_ns, bool waits)
{
	struct trace_event event = {
		.time_ns = time_ns,
		.cpu = TRACE_NO_CPU,
		.kind = waits ? TRACE_STACK : TRACE_SAMPLE,
	};

	for (struct tracing *t = e->traces; t; t = t->next) {
		if (find_thread(e, t, s->labels.pid, s->labels.tid) == TRACE_NO_ENTRY)
			continue;
		event.entry = trace_entry(t->trace, s);
		if (event.entry != TRACE_NO_ENTRY)
			trace_add(t->trace, &event);
	}
}

void engine_trace_start(struct engine *e, pid_t pid, pid_t tid, uint64_t time_ns)
{
	const struct trace_event event = {
		.time_ns = time_ns, .cpu = TRACE_NO_CPU, .kind = TRACE_START};

	for (struct tracing *t = e->traces; t; t = t->next)
		trace_forget_thread(t->trace, tid); /* somebody else had the number */
	add(e, pid, tid, &event);
}

void engine_trace_exit(struct engine *e, pid_t pid, pid_t tid, uint64_t time_ns)
{
	const struct trace_event event = {
		.time_ns = time_ns, .cpu = TRACE_NO_CPU, .kind = TRACE_EXIT};

	add(e, pid, tid, &event);
}

void engine_trace_renamed(struct engine *e, pid_t pid, pid_t tid, bool exec)
{
	for (struct tracing *t = e->traces; t; t = t->next) {
		if (exec || pid == tid)
			trace_forget(t->trace, pid);
		else
			trace_forget_thread(t->trace, tid);
	}
}

void engine_trace_lost(struct engine *e, uint64_t since_ns)
{
	const struct trace_event event = {
		.time_ns = since_ns,
		.entry = TRACE_NO_ENTRY,
		.cpu = TRACE_NO_CPU,
		.kind = TRACE_LOST,
	};

	for (struct tracing *t = e->traces; t; t = t->next)
		trace_add(t->trace, &event);
}

void engine_trace_mark(struct engine *e, enum profile_type type, pid_t pid)
{
	struct trace_event event = {
		.time_ns = clock_mono_ns(),
		.entry = TRACE_NO_ENTRY,
		.cpu = TRACE_NO_CPU,
		.kind = TRACE_SNAPSHOT,
		.detail = (uint8_t)type,
	};

	for (struct tracing *t = e->traces; t; t = t->next) {
		event.entry = pid ? find_thread(e, t, pid, pid) : TRACE_NO_ENTRY;
		if (event.entry != TRACE_NO_ENTRY || (!pid && t->ask.any_uid))
			trace_add(t->trace, &event);
	}
}

/* ---- those that are there when it begins */

/* Each look asks the keeper, which on a busy machine takes its time, and rings fill up
 * meanwhile: of one process so many threads are looked at in any case, of many only as long
 * as this. */
#define SCAN_NS	  (50 * NSEC_PER_MSEC)
#define SCAN_SURE 64

struct scan {
	struct engine *engine;
	struct tracing *tracing;
	pid_t pid;
	unsigned n;
	uint64_t end_ns;
};

static bool is_over(const struct scan *s)
{
	if (s->n >= PROFD_MAX_TRACE_SEEN)
		return true;
	if (s->tracing->ask.pid && s->n < SCAN_SURE)
		return false;
	return clock_mono_ns() > s->end_ns;
}

static bool scan_thread(pid_t tid, void *userdata)
{
	struct scan *s = userdata;
	struct engine *e = s->engine;
	struct sample sample = {.labels = {.pid = s->pid, .tid = tid}};
	struct trace_event event = {.cpu = TRACE_NO_CPU};
	struct waiting w;
	int r;

	if (is_over(s))
		return false;
	r = waiting_look(e->ctx.keeper, s->pid, tid, &w);
	if (r < 0 && r != -EAGAIN)
		return true;
	s->n++;
	event.time_ns = clock_mono_ns(); /* what came before tells more than this look */
	event.kind = r == 0 ? TRACE_ASLEEP : TRACE_READY;
	if (r == 0 && w.n_functions > 0)
		sample.labels.wchan = w.functions[0];
	engine_name_labels(e, process_peek(e->ctx.processes, s->pid), &sample.labels);
	event.entry = trace_entry(s->tracing->trace, &sample);
	if (event.entry != TRACE_NO_ENTRY)
		trace_add(s->tracing->trace, &event);
	return true;
}

static void scan_process(pid_t pid, void *userdata)
{
	struct scan *s = userdata;
	struct engine *e = s->engine;

	s->pid = pid;
	if (!is_over(s) && is_wanted(e, s->tracing, process_get(e->ctx.processes, pid)))
		(void)process_each_thread(e->ctx.keeper, pid, scan_thread, s);
}

static void scan(struct engine *e, struct tracing *t)
{
	struct scan s = {.engine = e, .tracing = t, .end_ns = clock_mono_ns() + SCAN_NS};

	if (t->ask.pid)
		scan_process(t->ask.pid, &s);
	else
		(void)process_each_pid(e->ctx.keeper, scan_process, &s);
}

/* ---- from the request to its end */

static void free_tracing(struct tracing *t)
{
	if (!t)
		return;
	trace_free(t->trace);
	free((char *)t->ask.comm);
	free((char *)t->ask.unit);
	free(t);
}

static struct tracing *make(const struct threads_ask *ask)
{
	struct tracing *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ask = *ask;
	t->ask.comm = ask->comm ? strdup(ask->comm) : NULL;
	t->ask.unit = ask->unit ? strdup(ask->unit) : NULL;
	if ((ask->comm && !t->ask.comm) || (ask->unit && !t->ask.unit)) {
		free_tracing(t);
		return NULL;
	}
	return t;
}

static bool is_full(const struct engine *e)
{
	unsigned n = 0;

	for (const struct tracing *t = e->traces; t; t = t->next)
		n++;
	return n >= PROFD_MAX_TRACES;
}

int engine_trace_open(struct engine *e, const struct threads_ask *ask, struct tracing **ret_t,
		      char *why, size_t why_size)
{
	struct tracing *t;
	int r;

	if (is_full(e)) {
		e->ctx.counters.traces_refused++;
		snprintf(why, why_size, "trace: %d others are under way: try again later",
			 PROFD_MAX_TRACES);
		return -EBUSY;
	}
	r = engine_offcpu_hold(e, why, why_size);
	if (r < 0)
		return r;
	engine_offcpu_drain(e); /* what came before is not part of it */
	t = make(ask);
	if (!t || trace_new(clock_mono_ns(), clock_unix_ns(), &t->trace) < 0) {
		snprintf(why, why_size, "trace: out of memory");
		free_tracing(t);
		engine_offcpu_release(e);
		return -ENOMEM;
	}
	t->next = e->traces;
	e->traces = t;
	scan(e, t);
	e->ctx.counters.traces++;
	*ret_t = t;
	return 0;
}

const struct trace *engine_trace_take(struct engine *e, struct tracing *t, uint64_t *ret_end_ns)
{
	uint64_t end_ns = clock_mono_ns();

	engine_offcpu_drain(e);
	e->ctx.counters.trace_events_refused += trace_refused(t->trace);
	*ret_end_ns = end_ns;
	return t->trace;
}

void engine_trace_close(struct engine *e, struct tracing *t)
{
	struct tracing **at = &e->traces;

	if (!t)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	e->ctx.counters.traces--;
	free_tracing(t);
	engine_offcpu_release(e);
}

void engine_trace_keep_modules(struct engine *e)
{
	for (const struct tracing *t = e->traces; t; t = t->next) {
		size_t n;
		const struct frame *frames = aggregate_frames(trace_aggregate(t->trace), &n);

		for (size_t i = 0; i < n; i++)
			module_keep_id(e->ctx.modules, frames[i].module);
	}
}
