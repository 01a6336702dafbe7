/*
 * A dump is a small object that lives from the request for one profile until
 * the scribe has answered. Its states follow one another without branches:
 * trimming (heap only, a timer looks for the client's answer) or looking (threads
 * only, the engine's job), then writing (the scribe has it). Everything that can fail
 * ends in dump_end().
 */
#include "daemon/control/dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/control/comments.h"
#include "daemon/control/dump-state.h"
#include "daemon/control/sight.h"
#include "daemon/heap/read.h"
#include "daemon/heap/trim.h"
#include "profd/base.h"

#define TRIM_POLL_FIRST_US 500
#define TRIM_POLL_MOST_US  20000

void dump_free(struct dump *d)
{
	sd_event_source_disable_unref(d->timer);
	heap_client_unref(d->client);
	profd_closep(&d->fd);
	free(d->note);
	free(d);
}

static void count_failed(struct dump *d, const char *why)
{
	struct journal_about about = {
		.pid = d->client ? d->client->pid : 0,
		.comm = d->client ? d->client->comm : NULL,
		.file = d->options.send ? NULL : d->name,
	};

	d->ctx->counters.snapshots_failed++;
	if (!d->ctx->private)
		journal_say(&d->ctx->journal, JOURNAL_LOST_PROFILE, &about,
			    "%s profile%s%s: not written: %s", profile_type_name(d->type),
			    about.comm ? " of " : "", about.comm ?: "", why);
}

static void dump_end(struct dump *d, int error, const char *why, const char *name)
{
	struct dump_result result = {
		.error = error,
		.why = why ?: (error < 0 ? strerror(-error) : ""),
		.type = profile_type_name(d->type),
		.name = name ?: d->name,
		.fd = d->fd,
		.pid = d->client ? d->client->pid : 0,
		.comm = d->client ? d->client->comm : "",
		.trim = d->trim_line,
	};

	if (error < 0) {
		count_failed(d, result.why);
	} else {
		d->ctx->counters.snapshots_written++;
	}
	d->done(&result, d->userdata);
	dump_free(d);
}

void dump_fail(struct dump *d, int error)
{
	count_failed(d, strerror(-error));
	dump_free(d);
}

static void on_scribe_done(const struct scribe_result *result, void *userdata)
{
	struct dump *d = userdata;

	if (result->error == 0 && !d->options.send)
		store_note(d->ctx->store, result->name);
	/* a file that is handed over has the name that it would have been stored under */
	dump_end(d, result->error, NULL, d->options.send ? NULL : result->name);
}

/* Takes @frozen over. Returns 0 or -errno; then the dump is still the caller's. */
int dump_submit(struct dump *d, struct frozen *frozen)
{
	int r;

	d->ctx->trace_mark(d->ctx->engine, d->type, d->client ? d->client->pid : d->pid);
	store_name(profile_type_name(d->type), d->client ? d->client->comm : "",
		   d->client ? d->client->pid : 0, d->time_unix_ns, d->name, sizeof(d->name));
	if (d->options.send) {
		d->fd = memfd_create("profd-profile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (d->fd < 0) {
			r = -errno;
			frozen_done(frozen);
			return r;
		}
		return scribe_submit(d->ctx->scribe, frozen, d->fd, NULL, on_scribe_done, d);
	}
	return scribe_submit(d->ctx->scribe, frozen, store_dir_fd(d->ctx->store), d->name,
			     on_scribe_done, d);
}

int dump_aggregate(const struct heap_profile *p, size_t n_values, struct aggregate **ret)
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

struct freeze_place *dump_places(const struct heap_profile *p)
{
	struct freeze_place *places = calloc(p->n_places + 1, sizeof(*places));

	for (size_t i = 0; places && i < p->n_places; i++)
		places[i] = (struct freeze_place){.module = p->places[i].module,
						  .place = p->places[i].place};
	return places;
}

static int freeze_heap(struct dump *d, const struct heap_profile *p, struct frozen *ret)
{
	_cleanup_free_ struct freeze_place *places = dump_places(p);
	struct comments comments = {0};
	struct process_memory memory;
	struct comments_heap about = {
		.trim = d->trimmed ? &d->trim : NULL,
		.trim_line = d->trim_line,
		.note = d->note,
	};
	struct freeze how = {
		.type = PROFILE_HEAP,
		.period = (int64_t)p->header.rate_bytes,
		.time_unix_ns = d->time_unix_ns,
		.places = places,
		.n_places = p->n_places,
		.main_module = p->main_module,
	};
	struct aggregate *a = NULL;
	int r;

	if (!places)
		return -ENOMEM;
	if (!d->client->dead) {
		allocators_begin(d->ctx->allocators);
		about.allocator =
			allocators_find(d->ctx->allocators, d->ctx->keeper, d->client->pid);
	}
	about.memory = read_memory(d, &memory) ? &memory : NULL;
	comments_of_heap(&comments, p, &about);
	how.comments = comments.lines;
	how.n_comments = comments.n;
	r = dump_aggregate(p, 4, &a);
	if (r >= 0)
		r = freeze_aggregate(d->ctx->modules, a, &how, ret);
	aggregate_free(a);
	comments_done(&comments);
	return r;
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

struct dump *dump_new(struct control_context *ctx, enum profile_type type,
			     const struct dump_options *options, dump_done_t done, void *userdata)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->ctx = ctx;
	d->type = type;
	d->options = *options;
	d->done = done;
	d->userdata = userdata;
	d->fd = -1;
	if (options->note) {
		d->note = strdup(options->note);
		if (!d->note) {
			free(d);
			return NULL;
		}
	}
	return d;
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

/* What the profile is of, as readers show it: the program, or the machine. */
static uint32_t main_module(struct control_context *ctx, const struct dump_filter *filter)
{
	pid_t pid = filter->pid ?: ctx->watched;
	const struct process *process = pid ? process_peek(ctx->processes, pid) : NULL;
	const struct module *kernel;

	if (ctx->timers.hz > 0)
		return pid == ctx->watched ? ctx->timers.main_module : 0;
	if (process && process->n_maps > 0)
		return process->maps[0].module->id;
	kernel = pid ? NULL : module_get_kernel(ctx->modules);
	return kernel ? kernel->id : 0;
}

static int freeze_cpu(struct dump *d, const struct window_span *span,
		      const struct dump_filter *filter, struct frozen *ret)
{
	static const enum profile_type types[] = {
		[SAMPLER_TIME] = PROFILE_CPU,
		[SAMPLER_CYCLES] = PROFILE_CYCLES,
		[SAMPLER_EVENTS] = PROFILE_EVENT,
	};
	const struct sampler *s = d->ctx->sampler;
	struct comments comments = {0};
	struct freeze how = {
		.type = PROFILE_OFFCPU,
		.period = 1,
		.time_unix_ns = span->start_unix_ns,
		.duration_ns = span->duration_ns,
		.only_pid = filter->pid,
		.only_comm = filter->comm,
		.only_unit = filter->unit,
		.main_module = main_module(d->ctx, filter),
	};
	struct sight sight = {0};
	int r;

	if (filter->one_user) {
		r = sight_init(d->ctx, filter->uid, filter->pid, span->samples, &sight);
		if (r < 0)
			return r;
		how.only_lives = sight.lives;
		how.n_only_lives = sight.n_lives;
		how.no_kernel = !sight.kernel;
		how.main_module = filter->pid ? how.main_module : 0;
	}
	if (d->type == PROFILE_CPU) {
		how.type = s ? types[sampler_measure(s)] : PROFILE_CPU;
		how.event = s ? sampler_event_type(s) : NULL;
		how.period = s ? sampler_period(s) : (int64_t)(NSEC_PER_SEC / d->ctx->timers.hz);
		comments_of_cpu(&comments, d->ctx, span, d->note);
	} else {
		comments_of_offcpu(&comments, d->ctx, span, d->note);
	}
	if (filter->one_user)
		comments_of_sight(&comments, &sight);
	how.comments = comments.lines;
	how.n_comments = comments.n;
	r = freeze_aggregate(d->ctx->modules, span->samples, &how, ret);
	comments_done(&comments);
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

static int freeze_threads(struct dump *d, const struct aggregate *samples,
			  const struct threads_counts *counts, struct frozen *ret)
{
	struct comments comments = {0};
	struct freeze how = {
		.type = PROFILE_THREADS,
		.period = 1,
		.time_unix_ns = d->time_unix_ns,
		.main_module = main_module(d->ctx, &(struct dump_filter){.pid = d->pid}),
	};
	int r;

	comments_of_threads(&comments, counts);
	how.comments = comments.lines;
	how.n_comments = comments.n;
	r = freeze_aggregate(d->ctx->modules, samples, &how, ret);
	comments_done(&comments);
	return r;
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
