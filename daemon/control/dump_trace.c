/*
 * A trace on its way to the scribe: its stacks as a profile, frozen and filtered as any
 * other, and its events beside it.
 */
#include <errno.h>

#include "daemon/control/dump-state.h"
#include "profd/base.h"

static int freeze_trace(struct dump *d, const struct trace *trace, const struct dump_filter *filter,
			struct frozen *ret)
{
	struct comments comments = {0};
	struct freeze how = {
		.type = PROFILE_TRACE,
		.period = 1,
		.time_unix_ns = d->time_unix_ns,
	};
	struct sight sight = {0};
	int r = dump_restrict(d, filter, trace_aggregate(trace), &how, &sight);

	if (r < 0)
		return r;
	if (filter->one_user)
		comments_of_sight(&comments, &sight);
	comments_of_trace(&comments, d->ctx, d->note);
	r = dump_freeze(d, trace_aggregate(trace), &comments, &how, ret);
	sight_done(&sight);
	return r;
}

int dump_trace(struct control_context *ctx, struct tracing *tracing,
	       const struct dump_filter *filter, const struct dump_options *options,
	       dump_done_t done, void *userdata)
{
	struct dump *d = dump_new(ctx, PROFILE_TRACE, options, done, userdata);
	const struct trace *trace;
	struct frozen frozen;
	uint64_t end_ns;
	int r;

	if (!d)
		return -ENOMEM;
	d->time_unix_ns = clock_unix_ns();
	d->pid = filter->pid;
	trace = ctx->trace_take(ctx->engine, tracing, &end_ns);
	r = freeze_trace(d, trace, filter, &frozen);
	if (r >= 0) {
		r = trace_pack(trace, end_ns, frozen.samples, &frozen.events,
			       &frozen.n_event_bytes);
		if (r < 0)
			frozen_done(&frozen);
		else
			r = dump_submit(d, &frozen);
	}
	if (r < 0)
		dump_fail(d, r);
	return r;
}
