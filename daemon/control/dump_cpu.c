/*
 * What threads did, and what they do: a window's samples, on the CPU or off it, and
 * every thread's stack now, which the engine takes as a job of its own.
 */
#include <errno.h>

#include "daemon/control/dump-state.h"
#include "profd/base.h"

/* What the profile is of, as readers show it: the program, or (0) the machine. */
static uint32_t main_module(struct control_context *ctx, pid_t of)
{
	pid_t pid = of ?: ctx->watched;
	const struct process *process = pid ? process_peek(ctx->processes, pid) : NULL;
	const struct module *kernel;

	if (ctx->timers.hz > 0)
		return pid == ctx->watched ? ctx->timers.main_module : 0;
	if (process && process->n_maps > 0)
		return process->maps[0].module->id;
	kernel = pid ? NULL : module_get_kernel(ctx->modules);
	return kernel ? kernel->id : 0;
}

int dump_restrict(struct dump *d, const struct dump_filter *filter, const struct aggregate *samples,
		  struct freeze *how, struct sight *ret_sight)
{
	int r;

	how->only_pid = filter->pid;
	how->only_comm = filter->comm;
	how->only_unit = filter->unit;
	if (!filter->one_user)
		return 0;
	r = sight_init(d->ctx, filter->uid, filter->pid, samples, ret_sight);
	if (r < 0)
		return r;
	how->only_lives = ret_sight->lives;
	how->n_only_lives = ret_sight->n_lives;
	how->no_kernel = !ret_sight->kernel;
	return 0;
}

static void describe_cpu(const struct dump *d, struct freeze *how)
{
	static const enum profile_type types[] = {
		[SAMPLER_TIME] = PROFILE_CPU,
		[SAMPLER_CYCLES] = PROFILE_CYCLES,
		[SAMPLER_EVENTS] = PROFILE_EVENT,
	};
	const struct sampler *s = d->ctx->sampler;

	how->type = s ? types[sampler_measure(s)] : PROFILE_CPU;
	how->event = s ? sampler_event_type(s) : NULL;
	how->period = s ? sampler_period(s) : (int64_t)(NSEC_PER_SEC / d->ctx->timers.hz);
}

static int freeze_cpu(struct dump *d, const struct window_span *span,
		      const struct dump_filter *filter, struct frozen *ret)
{
	struct comments comments = {0};
	struct freeze how = {
		.type = PROFILE_OFFCPU,
		.period = 1,
		.time_unix_ns = span->start_unix_ns,
		.duration_ns = span->duration_ns,
	};
	struct sight sight = {0};
	int r = dump_restrict(d, filter, span->samples, &how, &sight);

	if (r < 0)
		return r;
	if (filter->pid || !filter->one_user)
		how.main_module = main_module(d->ctx, filter->pid);
	if (d->type == PROFILE_CPU) {
		describe_cpu(d, &how);
		comments_of_cpu(&comments, d->ctx, span, d->note);
	} else {
		comments_of_offcpu(&comments, d->ctx, span, d->note);
	}
	if (filter->one_user)
		comments_of_sight(&comments, &sight);
	r = dump_freeze(d, span->samples, &comments, &how, ret);
	sight_done(&sight);
	return r;
}

int dump_cpu(struct control_context *ctx, const struct window_span *span,
	     const struct dump_filter *filter, enum profile_type type,
	     const struct dump_options *options, dump_done_t done, void *userdata)
{
	struct dump *d = dump_new(ctx, type, options, done, userdata);
	struct frozen frozen;
	int r;

	if (!d)
		return -ENOMEM;
	d->time_unix_ns = clock_unix_ns();
	d->pid = filter->pid;
	r = freeze_cpu(d, span, filter, &frozen);
	if (r >= 0)
		r = dump_submit(d, &frozen);
	if (r < 0)
		dump_fail(d, r);
	return r;
}

/* ---- threads */

static int freeze_threads(struct dump *d, const struct aggregate *samples,
			  const struct threads_counts *counts, struct frozen *ret)
{
	struct comments comments = {0};
	struct freeze how = {
		.type = PROFILE_THREADS,
		.period = 1,
		.time_unix_ns = d->time_unix_ns,
		.main_module = main_module(d->ctx, d->pid),
	};

	comments_of_threads(&comments, counts);
	return dump_freeze(d, samples, &comments, &how, ret);
}

static void on_threads(struct aggregate *samples, const struct threads_counts *counts,
		       void *userdata)
{
	struct dump *d = userdata;
	struct frozen frozen;
	int r = -ENOMEM;

	if (samples && counts->threads == 0)
		r = -ESRCH;
	else if (samples)
		r = freeze_threads(d, samples, counts, &frozen);
	aggregate_free(samples);
	if (r >= 0)
		r = dump_submit(d, &frozen);
	if (r < 0)
		dump_end(d, r, NULL, NULL);
}

int dump_threads(struct control_context *ctx, const struct threads_ask *ask,
		 const struct dump_options *options, dump_done_t done, void *userdata)
{
	struct dump *d = dump_new(ctx, PROFILE_THREADS, options, done, userdata);
	int r;

	if (!d)
		return -ENOMEM;
	d->time_unix_ns = clock_unix_ns();
	d->pid = ask->pid;
	r = ctx->threads(ctx->engine, ask, on_threads, d);
	if (r < 0) {
		ctx->counters.snapshots_failed++;
		dump_free(d);
	}
	return r;
}
