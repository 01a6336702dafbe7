/*
 * Counts never go back in a table that is sound: what has come since a mark is the
 * difference, bucket by bucket, and a bucket keeps its index for as long as the table
 * lives. What would come out negative is nothing.
 */
#include "daemon/heap/waits.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/heap_table.h"

struct counted {
	int64_t count, ns;
};

struct heap_waits_mark {
	size_t n;
	struct counted buckets[]; /* by index in the table */
};

static const char *const names[] = {
	[HEAP_KIND_BLOCK] = "block",
	[HEAP_KIND_MUTEX] = "mutex",
	[HEAP_KIND_THREADCREATE] = "threadcreate",
};

bool heap_waits_parse(const char *name, enum heap_kind *ret_kind)
{
	for (size_t i = HEAP_KIND_BLOCK; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0) {
			*ret_kind = (enum heap_kind)i;
			return true;
		}
	return false;
}

const char *heap_waits_name(enum heap_kind kind)
{
	return names[kind];
}

bool heap_waits_always(const struct heap_client *client)
{
	struct heap_header header;

	return heap_table_header(client->table_fd, &header) == 0 && header.waits.always;
}

static bool is_of(const struct heap_copy_bucket *b, unsigned kinds)
{
	return b->kind <= HEAP_KIND_CPU && kinds & HEAP_WAITS_BIT(b->kind);
}

bool heap_waits_any(const struct heap_client *client, unsigned kinds)
{
	struct heap_copy *copy;
	bool any = false;

	if (heap_table_copy(client->table_fd, &copy) < 0)
		return false;
	for (size_t i = 0; !any && i < copy->n_buckets; i++)
		any = is_of(&copy->buckets[i], kinds) && copy->buckets[i].inuse_objects > 0;
	heap_copy_free(copy);
	return any;
}

static int make_mark(const struct heap_client *client, struct heap_waits_mark **ret)
{
	struct heap_waits_mark *mark;
	struct heap_copy *copy;
	size_t n = 0;
	int r = heap_table_copy(client->table_fd, &copy);

	if (r < 0)
		return r;
	for (size_t i = 0; i < copy->n_buckets; i++)
		if (is_of(&copy->buckets[i], HEAP_WAITS_ALL))
			n = max(n, (size_t)copy->buckets[i].index + 1);
	mark = calloc(1, sizeof(*mark) + n * sizeof(mark->buckets[0]));
	if (mark) {
		mark->n = n;
		for (size_t i = 0; i < copy->n_buckets; i++) {
			const struct heap_copy_bucket *b = &copy->buckets[i];

			if (is_of(b, HEAP_WAITS_ALL))
				mark->buckets[b->index] =
					(struct counted){b->inuse_objects, b->inuse_bytes};
		}
	}
	heap_copy_free(copy);
	*ret = mark;
	return mark ? 0 : -ENOMEM;
}

void heap_waits_mark_free(struct heap_waits_mark *mark)
{
	free(mark);
}

int heap_waits_start(struct heap_client *client, uint64_t until_mono_ns,
		     struct heap_waits_mark **ret_mark)
{
	struct heap_waits_mark *mark;
	int r = make_mark(client, &mark);

	if (r < 0)
		return r;
	if (!heap_waits_always(client)) {
		client->waits_until_ns = max(client->waits_until_ns, until_mono_ns);
		r = heap_table_ask_waits(client->table_fd,
					 &(struct heap_waits){
						 .on = 1,
						 .block_rate_ns = PROFD_BLOCK_RATE_NS,
						 .mutex_fraction = PROFD_MUTEX_FRACTION,
						 .until_mono_ns = client->waits_until_ns,
					 });
	}
	if (r < 0) {
		heap_waits_mark_free(mark);
		return r;
	}
	client->waits_users++;
	*ret_mark = mark;
	return 0;
}

void heap_waits_stop(struct heap_client *client)
{
	if (--client->waits_users > 0 || heap_waits_always(client))
		return;
	client->waits_until_ns = 0;
	(void)heap_table_ask_waits(client->table_fd, &(struct heap_waits){.on = 0});
}

void heap_waits_forget(int table_fd, const struct heap_header *header)
{
	if (header->waits.on && !header->waits.always)
		(void)heap_table_ask_waits(table_fd, &(struct heap_waits){.on = 0});
}

/* Leaves what is new; a sample without is left out. */
static void subtract(const struct heap_waits_mark *mark, struct heap_profile *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_samples; i++) {
		struct sample *s = &p->samples[i];
		size_t index = (size_t)s->values[HEAP_CPU_BUCKET];

		if (mark && index < mark->n) {
			s->values[HEAP_CPU_SAMPLES] -= mark->buckets[index].count;
			s->values[HEAP_CPU_NS] -= mark->buckets[index].ns;
		}
		s->values[HEAP_CPU_NS] = max(s->values[HEAP_CPU_NS], (int64_t)0);
		if (s->values[HEAP_CPU_SAMPLES] > 0)
			p->samples[kept++] = *s;
	}
	p->n_samples = kept;
}

int heap_waits_read(struct keeper *keeper, struct heap_client *client, struct module_table *modules,
		    enum heap_kind kind, const struct heap_waits_mark *mark,
		    struct heap_profile *ret_profile)
{
	int r = heap_client_read_counts(keeper, client, modules, kind, ret_profile);

	if (r >= 0)
		subtract(mark, ret_profile);
	return r;
}
