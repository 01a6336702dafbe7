#include "daemon/control/last.h"

#include <stdio.h>
#include <string.h>

#include "daemon/control/dump.h"
#include "daemon/proc/ending.h"
#include "profd/base.h"
#include "proto/heap_table.h"
#include "proto/publish.h"

struct last {
	struct control_context *ctx;
	struct heap_client *client; /* a reference */
};

/* @name is NULL for one that could not be written. */
static void remember(const struct last *last, const char *name, int error)
{
	struct control_context *ctx = last->ctx;
	struct last_file *f;

	if (!ctx->private)
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	f->pid = last->client->pid;
	f->error = error;
	snprintf(f->comm, sizeof(f->comm), "%s", last->client->comm);
	snprintf(f->name, sizeof(f->name), "%s", name ?: "");
	f->next = ctx->last_files;
	ctx->last_files = f;
}

static void end(struct last *last, const char *name, int error)
{
	remember(last, name, error);
	last->ctx->last_pending--;
	heap_clients_remove(last->ctx->clients, last->client);
	heap_client_unref(last->client);
	free(last);
}

static void on_dump_done(const struct dump_result *result, void *userdata)
{
	struct last *last = userdata;

	if (result->error == 0)
		last->ctx->counters.heaps_last++;
	end(last, result->error == 0 ? result->name : NULL, result->error);
}

static void describe(struct control_context *ctx, const struct heap_client *client, bool in_order,
		     char *ret, size_t size)
{
	char how[64], stamp[PUBLISH_STAMP_BYTES];
	int status;

	if (process_read_ending(ctx->keeper, client->pid, client->pid_fd, &status) == 0)
		process_describe_ending(status, how, sizeof(how));
	else
		snprintf(how, sizeof(how), in_order ? "exited" : "was killed or crashed");
	publish_stamp(client->died_unix_ns, stamp, sizeof(stamp));
	snprintf(ret, size, "last heap: the process %s at %s", how, stamp);
}

void last_heap(struct control_context *ctx, struct heap_client *client)
{
	struct heap_header header = {0};
	bool in_order, empty;
	char note[128];
	struct dump_options options = {.note = note};
	struct last *last = NULL;
	int r;

	(void)heap_table_header(client->table_fd, &header);
	in_order = header.state == HEAP_STATE_EXITED;
	/* the helpers that a command starts by the dozen have nothing to tell */
	empty = header.samples == 0 && client->pid != ctx->watched;
	if (!empty && (ctx->private || !in_order))
		last = calloc(1, sizeof(*last));
	if (!last) {
		heap_clients_remove(ctx->clients, client);
		return;
	}
	last->ctx = ctx;
	last->client = heap_client_ref(client);
	ctx->last_pending++;
	describe(ctx, client, in_order, note, sizeof(note));
	r = dump_heap(ctx, client, &options, on_dump_done, last);
	if (r < 0)
		end(last, NULL, r);
}

void last_files_free(struct control_context *ctx)
{
	while (ctx->last_files) {
		struct last_file *f = ctx->last_files;

		ctx->last_files = f->next;
		free(f);
	}
}
