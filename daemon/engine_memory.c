/*
 * Memory that must not grow with time. Modules are freed by sweeping: every
 * holder names what it holds, and the rest goes (module-sweep.c). This file
 * knows the holders; whoever keeps modules or their ids over a return to the
 * event loop is to be added to keep_modules().
 *
 * The current window of a daemon without rotation has nobody to empty it.
 * When it is full it begins anew, for the last hour is worth more than the
 * first of a month.
 */
#include <malloc.h>

#include "daemon/control/losses.h"
#include "daemon/engine_internal.h"
#include "profd/base.h"

#define SWEEP_EVERY_US	 10000000
#define SWEEP_CROWDED_NS NSEC_PER_SEC /* when the table is nearly full */

static void keep_modules(struct engine *e)
{
	struct control_context *c = &e->ctx;

	process_keep_modules(c->processes);
	windows_keep_modules(c->windows, c->modules);
	engine_offcpu_keep_modules(e);
	engine_threads_keep_modules(e);
	engine_trace_keep_modules(e);
	heap_clients_keep_modules(c->clients, c->modules);
	scribe_keep_modules(c->scribe);
}

static void sweep(struct engine *e, uint64_t now_ns)
{
	uint64_t freed = module_table_freed(e->ctx.modules);

	keep_modules(e);
	module_sweep(e->ctx.modules, now_ns);
	if (module_table_freed(e->ctx.modules) != freed)
		malloc_trim(0); /* what lies between those that stay goes back as well */
	scribe_tidy(e->ctx.scribe);
	e->swept_mono_ns = now_ns;
}

static void restart_full_window(struct engine *e)
{
	struct window_moment now;
	struct window_span span;

	if (e->rotation || e->config->private || !e->ctx.rotation ||
	    !window_is_full(e->ctx.rotation))
		return;
	losses_moment(&e->ctx, &now);
	if (window_take(e->ctx.rotation, &now, &span) < 0)
		return;
	aggregate_free(span.samples);
	e->ctx.counters.windows_restarted++;
}

void engine_check_memory(struct engine *e)
{
	uint64_t now_ns = clock_mono_ns();

	restart_full_window(e);
	if (module_table_is_crowded(e->ctx.modules) &&
	    now_ns - e->swept_mono_ns >= SWEEP_CROWDED_NS)
		sweep(e, now_ns);
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata)
{
	sweep(userdata, clock_mono_ns());
	sd_event_source_set_time_relative(source, SWEEP_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int engine_start_sweeping(struct engine *e)
{
	return sd_event_add_time_relative(e->ctx.loop, &e->sweep_timer, CLOCK_MONOTONIC,
					  SWEEP_EVERY_US, SWEEP_EVERY_US / 10, on_sweep, e);
}
