/*
 * The CPU path without perf events: clients sample themselves, into their tables
 * (include/profd/heap_table.h). Nothing comes by itself: before a window is looked
 * at, each client's table is read, and what is new in it is added to the windows as
 * if it had just been sampled. A process that ends, or calls exec, is read once more
 * before it is let go.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/losses.h"
#include "daemon/engine_internal.h"
#include "daemon/heap/cpu.h"
#include "profd/base.h"

static void add_lost(struct engine *e, const struct sample_labels *labels, uint64_t lost)
{
	struct frame frame = {.module = e->missing->id};
	struct sample sample = {
		.frames = &frame,
		.n_frames = 1,
		.labels = *labels,
		.values = {(int64_t)lost, (int64_t)(lost * (NSEC_PER_SEC / e->ctx.timers.hz))},
	};

	windows_add(e->ctx.windows, &sample);
}

static void add_span(struct engine *e, const struct heap_client *client,
		     const struct heap_cpu_span *span)
{
	struct control_timers *t = &e->ctx.timers;
	struct sample_labels labels = {
		.pid = client->pid,
		.comm = client->comm,
		.unit = client->unit,
	};

	for (size_t i = 0; i < span->profile.n_samples; i++) {
		struct sample sample = span->profile.samples[i];

		const char *own = sample.labels.own;

		sample.labels = labels;
		sample.labels.own = own;
		windows_add(e->ctx.windows, &sample);
		t->samples += (uint64_t)sample.values[HEAP_CPU_SAMPLES];
	}
	if (span->lost + span->missed > 0)
		add_lost(e, &labels, min(span->lost + span->missed, (uint64_t)UINT32_MAX));
	t->lost += span->lost;
	t->missed += span->missed;
	t->threads_refused += span->refused;
	if (client->pid == e->ctx.watched && span->profile.main_module)
		t->main_module = span->profile.main_module;
}

void engine_collect_client(struct engine *e, struct heap_client *client)
{
	struct heap_cpu_span span;

	if (e->ctx.timers.hz == 0 ||
	    heap_client_take_cpu(e->ctx.keeper, client, e->ctx.modules, &span) < 0)
		return;
	add_span(e, client, &span);
	if (span.end == HEAP_CPU_CONFINED && !client->cpu_confined) {
		client->cpu_confined = true;
		e->ctx.timers.confined++;
	}
	heap_cpu_span_done(&span);
}

void engine_bring_up(struct engine *e)
{
	struct heap_client *next, *c = heap_clients_first(e->ctx.clients);

	engine_drain(e);
	for (; c; c = next) {
		next = c->next;
		engine_collect_client(e, c);
	}
}

int engine_watch_timers(struct engine *e, pid_t pid, unsigned hz, char *why, size_t why_size)
{
	struct window_moment now;
	int r;

	if (e->ctx.sampler || e->ctx.rotation) {
		snprintf(why, why_size, "watch: one command is being watched already");
		return -EBUSY;
	}
	windows_set_shape(e->ctx.windows, 2, e->missing->id);
	losses_moment(&e->ctx, &now);
	r = window_open(e->ctx.windows, &now, &e->ctx.rotation);
	if (r < 0) {
		snprintf(why, why_size, "cpu sampling: %s", strerror(-r));
		return r;
	}
	e->ctx.watched = pid;
	e->ctx.timers.hz = hz;
	return 0;
}
