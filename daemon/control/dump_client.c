/*
 * What a client's table holds: its heap, for which it is asked to trim first, and what
 * its threads waited for. All is copied before the dump goes on, and the client may go.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/control/dump-state.h"
#include "daemon/heap/read.h"
#include "profd/base.h"

#define TRIM_POLL_FIRST_US 500
#define TRIM_POLL_MOST_US  20000

/* ---- freezing what was read */

static int aggregate_samples(const struct heap_profile *p, size_t n_values, struct aggregate **ret)
{
	struct aggregate *a = NULL;
	int r = aggregate_new(n_values, p->n_samples + 1, &a);

	for (size_t i = 0; r >= 0 && i < p->n_samples; i++)
		r = aggregate_add(a, &p->samples[i]);
	if (r < 0) {
		aggregate_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

static struct freeze_place *copy_places(const struct heap_profile *p)
{
	struct freeze_place *places = calloc(p->n_places + 1, sizeof(*places));

	for (size_t i = 0; places && i < p->n_places; i++)
		places[i] = (struct freeze_place){.module = p->places[i].module,
						  .place = p->places[i].place};
	return places;
}

/* @comments are done with in either case. */
static int freeze_client(struct dump *d, const struct heap_profile *p, size_t n_values,
			 struct comments *comments, struct freeze *how, struct frozen *ret)
{
	_cleanup_free_ struct freeze_place *places = copy_places(p);
	struct aggregate *a = NULL;
	int r = places ? aggregate_samples(p, n_values, &a) : -ENOMEM;

	if (r < 0) {
		comments_done(comments);
		return r;
	}
	how->time_unix_ns = d->time_unix_ns;
	how->places = places;
	how->n_places = p->n_places;
	how->main_module = p->main_module;
	r = dump_freeze(d, a, comments, how, ret);
	aggregate_free(a);
	return r;
}

/* ---- heaps */

/* As the trim left it, or as it is now. */
static bool read_memory(const struct dump *d, struct process_memory *ret)
{
	if (d->trimmed && d->trim.result == 0) {
		*ret = d->trim.memory;
		return true;
	}
	return process_read_memory(d->ctx->keeper, d->client->pid, ret) == 0 &&
	       heap_client_is_running(d->client); /* else it may be another's with the pid */
}

static int freeze_heap(struct dump *d, const struct heap_profile *p, struct frozen *ret)
{
	struct comments comments = {0};
	struct process_memory memory;
	struct comments_heap about = {
		.trim = d->trimmed ? &d->trim : NULL,
		.trim_line = d->trim_line,
		.note = d->note,
	};
	struct freeze how = {.type = PROFILE_HEAP, .period = (int64_t)p->header.rate_bytes};

	if (!d->client->dead) {
		allocators_begin(d->ctx->allocators);
		about.allocator =
			allocators_find(d->ctx->allocators, d->ctx->keeper, d->client->pid);
	}
	about.memory = read_memory(d, &memory) ? &memory : NULL;
	comments_of_heap(&comments, p, &about);
	return freeze_client(d, p, 4, &comments, &how, ret);
}

static int write_heap(struct dump *d)
{
	struct heap_profile profile;
	struct frozen frozen;
	int r;

	d->time_unix_ns = clock_unix_ns();
	r = heap_client_read(d->ctx->keeper, d->client, d->ctx->modules, &profile);
	if (r < 0)
		return r;
	r = freeze_heap(d, &profile, &frozen);
	heap_profile_done(&profile);
	return r < 0 ? r : dump_submit(d, &frozen);
}

static int on_trim_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct dump *d = userdata;
	int r = trim_poll(&d->trim, d->ctx->keeper, clock_mono_ns());

	if (r == -EAGAIN) {
		d->poll_us = min(2 * d->poll_us, (uint64_t)TRIM_POLL_MOST_US);
		sd_event_source_set_time_relative(source, d->poll_us);
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	if (r == -ESRCH) {
		dump_end(d, r, "the process exited during the snapshot", NULL);
		return 0;
	}
	d->trimmed = true;
	trim_describe(&d->trim, d->trim_line, sizeof(d->trim_line));
	r = write_heap(d);
	if (r < 0)
		dump_end(d, r, NULL, NULL);
	return 0;
}

/* Returns 0 when the trim is under way; else there is none to wait for. */
static int begin_trim(struct dump *d)
{
	int r = trim_start(&d->trim, d->ctx->keeper, d->client, clock_mono_ns());

	if (r < 0) {
		d->trimmed = true;
		trim_describe(&d->trim, d->trim_line, sizeof(d->trim_line));
		return r;
	}
	d->poll_us = TRIM_POLL_FIRST_US;
	return sd_event_add_time_relative(d->ctx->loop, &d->timer, CLOCK_MONOTONIC, d->poll_us, 100,
					  on_trim_timer, d);
}

int dump_heap(struct control_context *ctx, struct heap_client *client,
	      const struct dump_options *options, dump_done_t done, void *userdata)
{
	struct dump *d = dump_new(ctx, PROFILE_HEAP, options, done, userdata);
	int r;

	if (!d)
		return -ENOMEM;
	d->client = heap_client_ref(client);
	if (options->trim && !client->dead && begin_trim(d) >= 0)
		return 0;
	r = write_heap(d);
	if (r < 0)
		dump_fail(d, r);
	return r;
}

/* ---- waits */

static int freeze_waits(struct dump *d, const struct heap_profile *p, uint64_t duration_ns,
			struct frozen *ret)
{
	struct comments comments = {0};
	struct freeze how = {.type = d->type, .period = 1, .duration_ns = (int64_t)duration_ns};

	comments_of_waits(&comments, p, d->type == PROFILE_BLOCK, d->note);
	return freeze_client(d, p, d->type == PROFILE_THREADCREATE ? 1 : 2, &comments, &how, ret);
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
