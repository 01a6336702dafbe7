/*
 * Counts never go back in a table that is sound. One that is not is the client's
 * own affair: what would come out negative is nothing.
 */
#include "daemon/heap/cpu.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

struct counted {
	int64_t samples, ns;
};

struct heap_cpu_seen {
	struct counted *buckets; /* by index in the table */
	size_t n_buckets;
	uint64_t lost, missed, refused;
};

void heap_cpu_seen_free(struct heap_cpu_seen *seen)
{
	if (!seen)
		return;
	free(seen->buckets);
	free(seen);
}

static int make_room(struct heap_cpu_seen *seen, const struct heap_profile *p)
{
	size_t n = seen->n_buckets;
	struct counted *grown;

	for (size_t i = 0; i < p->n_samples; i++)
		n = max(n, (size_t)p->samples[i].values[HEAP_CPU_BUCKET] + 1);
	if (n == seen->n_buckets)
		return 0;
	grown = reallocarray(seen->buckets, n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + seen->n_buckets, 0, (n - seen->n_buckets) * sizeof(*grown));
	seen->buckets = grown;
	seen->n_buckets = n;
	return 0;
}

/* Leaves what is new; a sample without is left out. */
static void subtract_seen(struct heap_cpu_seen *seen, struct heap_profile *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_samples; i++) {
		struct sample *s = &p->samples[i];
		struct counted *before = &seen->buckets[s->values[HEAP_CPU_BUCKET]];
		struct counted now = {s->values[HEAP_CPU_SAMPLES], s->values[HEAP_CPU_NS]};

		s->values[HEAP_CPU_SAMPLES] = max(now.samples - before->samples, (int64_t)0);
		s->values[HEAP_CPU_NS] = max(now.ns - before->ns, (int64_t)0);
		*before = now;
		if (s->values[HEAP_CPU_SAMPLES] > 0)
			p->samples[kept++] = *s;
	}
	p->n_samples = kept;
}

static uint64_t since(uint64_t *seen, uint64_t now)
{
	uint64_t more = now > *seen ? now - *seen : 0;

	*seen = now;
	return more;
}

int heap_client_take_cpu(struct keeper *keeper, struct heap_client *client,
			 struct module_table *modules, struct heap_cpu_span *ret_span)
{
	struct heap_cpu_span span = {0};
	struct heap_header header;
	int r = heap_table_header(client->table_fd, &header);

	if (r < 0)
		return r;
	if (header.cpu.hz == 0)
		return -ENODATA;
	if (!client->cpu_seen)
		client->cpu_seen = calloc(1, sizeof(*client->cpu_seen));
	if (!client->cpu_seen)
		return -ENOMEM;
	r = heap_client_read_cpu(keeper, client, modules, &span.profile);
	if (r < 0)
		return r;
	r = make_room(client->cpu_seen, &span.profile);
	if (r < 0) {
		heap_profile_done(&span.profile);
		return r;
	}
	subtract_seen(client->cpu_seen, &span.profile);
	span.lost = since(&client->cpu_seen->lost, header.cpu.lost);
	span.missed = since(&client->cpu_seen->missed, header.cpu.missed);
	span.refused = since(&client->cpu_seen->refused, header.cpu.refused);
	span.end = (enum heap_cpu_end)header.cpu.end;
	*ret_span = span;
	return 0;
}

void heap_cpu_span_done(struct heap_cpu_span *span)
{
	heap_profile_done(&span->profile);
}
