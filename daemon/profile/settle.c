/*
 * Two passes over the entries: the first sums each stratum, its time without a
 * stack and the weights of those with one; the second hands out shares. A share
 * is rounded down together with all that was handed out before it, so that the
 * last one leaves nothing over.
 *
 * Count and time are divided apart, each by its own weights.
 */
#include "daemon/profile/settle.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/array.h"
#include "proto/hash_index.h"

struct part { /* of a stratum: its counts, or its times */
	double unknown, weights;
	double weights_done;
	int64_t given;
};

struct stratum {
	pid_t pid, tid;
	uint64_t number;
	struct part count, ns;
};

struct strata {
	ARRAY_TABLE(struct stratum) items;
	struct hash_index index;
};

static bool stratum_equal(const void *table, uint32_t record, const void *key)
{
	const struct stratum *s = &((const struct strata *)table)->items.items[record];
	const struct sample_labels *l = key;

	return s->pid == l->pid && s->tid == l->tid && s->number == l->bytes;
}

static int get_stratum(struct strata *strata, const struct sample_labels *l,
		       struct stratum **ret_stratum)
{
	const uint64_t key[] = {(uint64_t)l->pid << 32 | (uint32_t)l->tid, l->bytes};
	uint64_t hash = hash_index_bytes(key, sizeof(key));
	uint32_t found = hash_index_find(&strata->index, hash, stratum_equal, strata, l);

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)strata->items.n;
		if (array_grow(&strata->items, 1) < 0 ||
		    hash_index_add(&strata->index, hash, found) < 0)
			return -ENOMEM;
		strata->items.items[strata->items.n++] =
			(struct stratum){.pid = l->pid, .tid = l->tid, .number = l->bytes};
	}
	*ret_stratum = &strata->items.items[found];
	return 0;
}

static bool has_no_stack(const int64_t *values)
{
	return values[SETTLE_WEIGHTED_COUNT] == 0 && values[SETTLE_WEIGHTED_NS] == 0;
}

static int note(struct strata *strata, const struct aggregate_entry *e)
{
	struct stratum *s;

	if (e->labels.bytes == 0)
		return 0;
	if (get_stratum(strata, &e->labels, &s) < 0)
		return -ENOMEM;
	if (has_no_stack(e->values)) {
		s->count.unknown += (double)e->values[SETTLE_COUNT];
		s->ns.unknown += (double)e->values[SETTLE_NS];
	} else {
		s->count.weights += (double)e->values[SETTLE_WEIGHTED_COUNT];
		s->ns.weights += (double)e->values[SETTLE_WEIGHTED_NS];
	}
	return 0;
}

static int64_t share(struct part *p, int64_t weight)
{
	int64_t due;

	if (p->weights <= 0)
		return 0;
	p->weights_done += (double)weight;
	due = (int64_t)(p->unknown * (p->weights_done / p->weights));
	weight = due - p->given;
	p->given = due;
	return weight;
}

/* What of an entry is told under its own stack. */
static int settle(struct strata *strata, const struct aggregate_entry *e, int64_t ret_values[2])
{
	struct stratum *s;

	ret_values[0] = e->values[SETTLE_COUNT];
	ret_values[1] = e->values[SETTLE_NS];
	if (e->labels.bytes == 0)
		return 0;
	if (get_stratum(strata, &e->labels, &s) < 0)
		return -ENOMEM;
	if (!has_no_stack(e->values)) {
		ret_values[0] += share(&s->count, e->values[SETTLE_WEIGHTED_COUNT]);
		ret_values[1] += share(&s->ns, e->values[SETTLE_WEIGHTED_NS]);
		return 0;
	}
	if (s->count.weights > 0)
		ret_values[0] = 0;
	if (s->ns.weights > 0)
		ret_values[1] = 0;
	return 0;
}

static int settle_all(struct strata *strata, const struct aggregate *collected,
		      struct aggregate *settled)
{
	size_t n_frames, deepest = 1;
	const struct frame *known = aggregate_frames(collected, &n_frames);
	_cleanup_free_ struct frame *frames = NULL;
	struct aggregate_entry e;
	int r = 0;

	for (size_t i = 0; r == 0 && i < aggregate_count(collected); i++) {
		aggregate_entry(collected, i, &e);
		deepest = max(deepest, e.n_frames);
		r = note(strata, &e);
	}
	frames = calloc(deepest, sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < aggregate_count(collected); i++) {
		struct sample s = {.frames = frames};

		aggregate_entry(collected, i, &e);
		for (size_t j = 0; j < e.n_frames; j++)
			frames[j] = known[e.frames[j]];
		s.n_frames = e.n_frames;
		s.labels = e.labels;
		s.labels.bytes = 0;
		r = settle(strata, &e, s.values);
		if (r == 0 && (s.values[0] || s.values[1]))
			r = aggregate_add(settled, &s);
	}
	return r;
}

int settle_waits(const struct aggregate *collected, struct aggregate **ret_settled)
{
	struct strata strata = {0};
	struct aggregate *settled;
	int r;

	if (aggregate_n_values(collected) != SETTLE_N)
		return -EINVAL;
	r = aggregate_new(2, aggregate_count(collected) + 1, &settled);
	if (r < 0)
		return r;
	r = settle_all(&strata, collected, settled);
	free(strata.items.items);
	hash_index_done(&strata.index);
	if (r < 0) {
		aggregate_free(settled);
		return r;
	}
	*ret_settled = settled;
	return 0;
}
