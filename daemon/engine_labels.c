/*
 * The program's own labels on samples that the kernel took. They are in the table of the
 * process's client, if it has one and uses labels at all: that is asked once a drain of
 * each process that was sampled, and of no other.
 */
#include <string.h>

#include "daemon/engine_internal.h"
#include "daemon/heap/labels.h"

void engine_labels_begin(struct engine *e)
{
	memset(e->looked, 0, sizeof(e->looked));
	e->drains++;
}

static struct heap_client *labelled_client(struct engine *e, pid_t pid)
{
	struct engine_looked *l = &e->looked[(uint32_t)pid % ENGINE_LOOKED];

	if (l->pid != pid) {
		l->pid = pid;
		l->client = heap_clients_find(e->ctx.clients, pid);
		if (l->client && !heap_table_has_labels(l->client->table_fd))
			l->client = NULL;
	}
	return l->client;
}

const char *engine_labels(struct engine *e, const struct sampler_sample *s)
{
	struct heap_client *client = labelled_client(e, s->pid);
	const char *labels = NULL;

	if (client && heap_client_labels_at(client, s->tid, s->time_ns, e->drains, &labels) < 0)
		e->ctx.counters.labels_lost++;
	return labels;
}

void engine_labels_settle(struct engine *e, const struct heap_client *client)
{
	if (e->ctx.sampler && heap_table_has_labels(client->table_fd))
		engine_drain(e);
}
