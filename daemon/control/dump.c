/*
 * A dump is a small object that lives from the request for one profile until
 * the scribe has answered. Its states follow one another without branches:
 * trimming (heap only, a timer looks for the client's answer) or looking (threads
 * only, the engine's job), then writing (the scribe has it). Everything that can fail
 * ends in dump_end(). What is dumped stands in files of their own: dump_client.c what
 * a client counted, dump_cpu.c what windows and threads hold, dump_trace.c traces.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/control/dump-state.h"
#include "profd/base.h"

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

void dump_end(struct dump *d, int error, const char *why, const char *name)
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

int dump_freeze(struct dump *d, const struct aggregate *samples, struct comments *comments,
		struct freeze *how, struct frozen *ret)
{
	int r;

	how->comments = comments->lines;
	how->n_comments = comments->n;
	r = freeze_aggregate(d->ctx->modules, samples, how, ret);
	comments_done(comments);
	return r;
}
