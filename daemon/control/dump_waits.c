#include <errno.h>
#include <stdlib.h>

#include "daemon/control/comments.h"
#include "daemon/control/dump-state.h"
#include "profd/base.h"

static int freeze_waits(struct dump *d, const struct heap_profile *p, uint64_t duration_ns,
			struct frozen *ret)
{
	_cleanup_free_ struct freeze_place *places = dump_places(p);
	struct comments comments = {0};
	struct freeze how = {
		.type = d->type,
		.period = 1,
		.time_unix_ns = d->time_unix_ns,
		.duration_ns = (int64_t)duration_ns,
		.places = places,
		.n_places = p->n_places,
		.main_module = p->main_module,
	};
	struct aggregate *a = NULL;
	int r;

	if (!places)
		return -ENOMEM;
	comments_of_waits(&comments, p, d->type == PROFILE_BLOCK, d->note);
	how.comments = comments.lines;
	how.n_comments = comments.n;
	r = dump_aggregate(p, d->type == PROFILE_THREADCREATE ? 1 : 2, &a);
	if (r >= 0)
		r = freeze_aggregate(d->ctx->modules, a, &how, ret);
	aggregate_free(a);
	comments_done(&comments);
	return r;
}

int dump_waits(struct control_context *ctx, struct heap_client *client, enum heap_kind kind,
	       const struct heap_waits_mark *mark, uint64_t duration_ns,
	       const struct dump_options *options, dump_done_t done, void *userdata)
{
	static const enum profile_type types[] = {
		[HEAP_KIND_BLOCK] = PROFILE_BLOCK,
		[HEAP_KIND_MUTEX] = PROFILE_MUTEX,
		[HEAP_KIND_THREADCREATE] = PROFILE_THREADCREATE,
	};
	struct dump *d = dump_new(ctx, types[kind], options, done, userdata);
	struct heap_profile profile;
	struct frozen frozen;
	int r;

	if (!d)
		return -ENOMEM;
	d->client = heap_client_ref(client);
	d->time_unix_ns = clock_unix_ns() - (int64_t)duration_ns;
	r = heap_waits_read(ctx->keeper, client, ctx->modules, kind, mark, &profile);
	if (r >= 0) {
		r = freeze_waits(d, &profile, duration_ns, &frozen);
		heap_profile_done(&profile);
	}
	if (r >= 0)
		r = dump_submit(d, &frozen);
	if (r < 0) {
		ctx->counters.snapshots_failed++;
		dump_free(d);
	}
	return r;
}
