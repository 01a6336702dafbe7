#include "daemon/control/last.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/control/dump.h"
#include "daemon/control/ended.h"
#include "daemon/heap/read.h"
#include "daemon/proc/ending.h"
#include "profd/base.h"
#include "proto/heap_table.h"
#include "proto/publish.h"

struct last {
	struct control_context *ctx;
	struct heap_client *client; /* a reference */
	uint64_t ended_id;
	unsigned pending; /* dumps under way */
	char how[sizeof(((struct ended *)NULL)->how) + 8];
};

/* @name is NULL for one that could not be written. */
static void remember(const struct last *last, const char *type, const char *name, int error)
{
	struct control_context *ctx = last->ctx;
	struct last_file *f;

	if (!ctx->private)
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	f->pid = last->client->pid;
	f->type = type;
	f->error = error;
	snprintf(f->comm, sizeof(f->comm), "%s", last->client->comm);
	snprintf(f->name, sizeof(f->name), "%s", name ?: "");
	f->next = ctx->last_files;
	ctx->last_files = f;
}

static void end_one(struct last *last)
{
	if (--last->pending > 0)
		return;
	last->ctx->last_pending--;
	heap_clients_remove(last->ctx->clients, last->client);
	heap_client_unref(last->client);
	free(last);
}

static void end_heap(struct last *last, const char *name, int error)
{
	remember(last, "heap", name, error);
	ended_set_file(last->ctx, last->ended_id, name);
	end_one(last);
}

static void tell(const struct last *last, const char *name)
{
	const struct heap_client *c = last->client;
	char path[PROFD_MAX_PATH];
	struct journal_about about = {
		.pid = c->pid, .comm = c->comm, .unit = c->unit, .file = path};

	snprintf(path, sizeof(path), "%s/%s", store_dir(last->ctx->store), name);
	journal_say(&last->ctx->journal, JOURNAL_LAST_HEAP, &about,
		    "%s (pid %d) %s: its last heap is %s", c->comm, (int)c->pid, last->how, path);
}

static void on_heap_done(const struct dump_result *result, void *userdata)
{
	struct last *last = userdata;

	if (result->error == 0)
		last->ctx->counters.heaps_last++;
	if (result->error == 0 && !last->ctx->private)
		tell(last, result->name);
	end_heap(last, result->error == 0 ? result->name : NULL, result->error);
}

static void on_waits_done(const struct dump_result *result, void *userdata)
{
	struct last *last = userdata;

	remember(last, result->type, result->error == 0 ? result->name : NULL, result->error);
	end_one(last);
}

static void dump_last_waits(struct last *last, const struct dump_options *options)
{
	struct control_context *ctx = last->ctx;

	for (enum heap_kind k = HEAP_KIND_BLOCK; k <= HEAP_KIND_THREADCREATE; k++) {
		int r;

		if (!(ctx->last_waits & HEAP_WAITS_BIT(k)))
			continue;
		last->pending++;
		r = dump_waits(ctx, last->client, k, NULL, 0, options, on_waits_done, last);
		if (r < 0) {
			remember(last, heap_waits_name(k), NULL, r);
			end_one(last);
		}
	}
}

/* The kernel kills for lack of memory and counts it, for the group as a whole: each
 * count explains one end. */
static bool was_out_of_memory(struct control_context *ctx, const struct heap_client *client)
{
	uint64_t kills;

	if (!client->oom_path || process_read_oom_count(client->oom_path, &kills) < 0 ||
	    kills <= client->oom_kills)
		return false;
	for (struct heap_client *c = heap_clients_first(ctx->clients); c; c = c->next)
		if (c->oom_path && strcmp(c->oom_path, client->oom_path) == 0 &&
		    c->oom_kills < kills)
			c->oom_kills++;
	return true;
}

static void learn_ending(struct control_context *ctx, const struct heap_client *client,
			 uint64_t samples, struct ended *ret)
{
	struct ended e = {
		.pid = client->pid,
		.uid = client->uid,
		.unit = client->unit,
		.unix_ns = client->died_unix_ns,
		.mono_ns = clock_mono_ns(),
		.in_order = ret->in_order,
	};

	memcpy(e.comm, client->comm, sizeof(e.comm));
	if (samples > 0)
		(void)heap_client_inuse(client, &e.inuse_bytes, &(int64_t){0});
	/* its pid may be another's since */
	e.known = !client->unseen &&
		  process_read_ending(ctx->keeper, client->pid, client->pid_fd, &e.status) == 0;
	if (e.known)
		process_describe_ending(e.status, e.how, sizeof(e.how));
	else
		snprintf(e.how, sizeof(e.how), "%s%s", e.in_order ? "exited" : "killed or crashed",
			 client->unseen ? " while profd was away" : "");
	if (e.known ? WIFSIGNALED(e.status) && WTERMSIG(e.status) == SIGKILL : !e.in_order)
		e.out_of_memory = was_out_of_memory(ctx, client);
	if (e.out_of_memory)
		strncat(e.how, " (out of memory: its control group counts an OOM kill)",
			sizeof(e.how) - strlen(e.how) - 1);
	*ret = e;
}

static void write_note(const struct ended *e, const char *what, char *ret, size_t size)
{
	char stamp[PUBLISH_STAMP_BYTES];

	publish_stamp(e->unix_ns, stamp, sizeof(stamp));
	snprintf(ret, size, "%sthe process %s%s at %s", what,
		 strncmp(e->how, "killed", 6) == 0 ? "was " : "", e->how, stamp);
}

void last_heap(struct control_context *ctx, struct heap_client *client)
{
	struct heap_header header = {0};
	struct ended ended = {0};
	struct last *last = NULL;
	uint64_t id = 0;
	char note[256];
	struct dump_options options = {.note = note};
	bool empty;
	int r;

	(void)heap_table_header(client->table_fd, &header);
	ended.in_order = header.state == HEAP_STATE_EXITED;
	learn_ending(ctx, client, header.samples, &ended);
	/* the helpers that a command starts by the dozen have nothing to tell */
	empty = header.samples == 0 && client->pid != ctx->watched &&
		!(ctx->last_waits && heap_waits_any(client, ctx->last_waits));
	if (!empty && (ctx->private || !ended.in_order))
		last = calloc(1, sizeof(*last));
	ended.writing = last;
	if (!empty || !ended.in_order)
		id = ended_add(ctx, &ended);
	if (!last) {
		heap_clients_remove(ctx->clients, client);
		return;
	}
	last->ctx = ctx;
	last->client = heap_client_ref(client);
	last->ended_id = id;
	snprintf(last->how, sizeof(last->how), "%s%s",
		 strncmp(ended.how, "killed", 6) == 0 ? "was " : "", ended.how);
	ctx->last_pending++;
	last->pending = 1; /* the heap; the others are added while it holds */
	write_note(&ended, "", note, sizeof(note));
	dump_last_waits(last, &options);
	write_note(&ended, "last heap: ", note, sizeof(note));
	r = dump_heap(ctx, client, &options, on_heap_done, last);
	if (r < 0)
		end_heap(last, NULL, r);
}

void last_files_free(struct control_context *ctx)
{
	while (ctx->last_files) {
		struct last_file *f = ctx->last_files;

		ctx->last_files = f->next;
		free(f);
	}
}
