/*
 * Sums by (stack, labels).
 *
 * Stacks share most of their frames, so each distinct (module, offset) is kept
 * once and numbered; a stack is a run of numbers in one shared array, four
 * bytes a frame. Strings of labels are interned likewise. An entry is then a
 * handful of numbers, and two entries are equal if these and their runs are.
 *
 * A new sample's run is written behind the last one first, looked up there, and
 * kept only if it is new. Once the aggregate is full, nothing is interned any
 * more: a frame or string not seen before can only belong to a refused sample.
 */
#include "daemon/profile/aggregate.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/array.h"
#include "proto/hash_index.h"
#include "proto/string_table.h"

struct key { /* no padding: hashed as bytes */
	uint64_t first_frame;
	uint32_t n_frames;
	int32_t pid, tid;
	uint32_t comm, thread, unit, state, wchan; /* in strings */
	uint64_t bytes;
	uint32_t life, owner;
	uint32_t own, zero;
};
static_assert(sizeof(struct key) == 64, "padding would be hashed");

struct aggregate {
	size_t n_values, max_stacks, max_bytes;
	size_t own_bytes; /* of the programs' labels: these are long */
	uint64_t refused;
	struct string_table strings;
	ARRAY_TABLE(struct frame) frames; /* distinct */
	ARRAY_TABLE(uint32_t) runs;
	ARRAY_TABLE(struct key) entries;
	ARRAY_TABLE(int64_t) values; /* rows of n_values */
	struct hash_index frame_index, entry_index;
};

int aggregate_new(size_t n_values, size_t max_stacks, struct aggregate **ret_aggregate)
{
	struct aggregate *a;

	if (n_values > SAMPLE_VALUES_MAX)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	if (string_table_init(&a->strings) < 0 || array_grow(&a->runs, 1) < 0) {
		aggregate_free(a);
		return -ENOMEM;
	}
	a->n_values = n_values;
	a->max_stacks = max_stacks;
	a->max_bytes = SIZE_MAX;
	*ret_aggregate = a;
	return 0;
}

void aggregate_free(struct aggregate *a)
{
	if (!a)
		return;
	string_table_done(&a->strings);
	hash_index_done(&a->frame_index);
	hash_index_done(&a->entry_index);
	free(a->frames.items);
	free(a->runs.items);
	free(a->entries.items);
	free(a->values.items);
	free(a);
}

static bool frame_equal(const void *table, uint32_t record, const void *key)
{
	const struct frame *f = &((const struct aggregate *)table)->frames.items[record];
	const struct frame *other = key;

	return f->module == other->module && f->offset == other->offset;
}

void aggregate_limit_bytes(struct aggregate *a, size_t max_bytes)
{
	a->max_bytes = max_bytes;
}

/* Of an entry, a frame and a string with their places in an index. */
#define ENTRY_BYTES(n_values)                                                                      \
	(sizeof(struct key) + (n_values) * sizeof(int64_t) + 2 * sizeof(struct hash_slot))
#define FRAME_BYTES  (sizeof(struct frame) + 2 * sizeof(struct hash_slot))
#define STRING_BYTES 64 /* labels are short */

size_t aggregate_bytes(const struct aggregate *a)
{
	return a->entries.n * ENTRY_BYTES(a->n_values) + a->runs.n * sizeof(*a->runs.items) +
	       a->frames.n * FRAME_BYTES + a->strings.strings.n * STRING_BYTES + a->own_bytes;
}

bool aggregate_is_full(const struct aggregate *a)
{
	return a->entries.n >= a->max_stacks || aggregate_bytes(a) >= a->max_bytes;
}

static int intern_frame(struct aggregate *a, const struct frame *f, uint32_t *ret)
{
	const uint64_t key[] = {f->module, f->offset};
	uint64_t hash = hash_index_bytes(key, sizeof(key));
	uint32_t found = hash_index_find(&a->frame_index, hash, frame_equal, a, f);

	if (found == HASH_INDEX_NONE) {
		if (aggregate_is_full(a))
			return -ENOSPC;
		found = (uint32_t)a->frames.n;
		if (array_grow(&a->frames, 1) < 0 ||
		    hash_index_add(&a->frame_index, hash, found) < 0)
			return -ENOMEM;
		a->frames.items[a->frames.n++] = *f;
	}
	*ret = found;
	return 0;
}

static int intern_label(struct aggregate *a, const char *label, uint32_t *ret)
{
	uint32_t found;

	if (!label || !aggregate_is_full(a))
		return string_table_intern(&a->strings, label, ret);
	found = string_table_find(&a->strings, label);
	if (found == HASH_INDEX_NONE)
		return -ENOSPC;
	*ret = found;
	return 0;
}

static int intern_own(struct aggregate *a, const char *labels, uint32_t *ret)
{
	size_t before = a->strings.strings.n;
	int r = intern_label(a, labels, ret);

	if (a->strings.strings.n > before)
		a->own_bytes += strlen(labels);
	return r;
}

static uint64_t entry_hash(const struct aggregate *a, const struct key *k)
{
	struct key labels = *k;

	labels.first_frame = hash_index_bytes(a->runs.items + k->first_frame,
					      k->n_frames * sizeof(*a->runs.items));
	return hash_index_bytes(&labels, sizeof(labels));
}

static bool entry_equal(const void *table, uint32_t record, const void *key)
{
	const struct aggregate *a = table;
	const struct key *e = &a->entries.items[record], *k = key;

	return e->n_frames == k->n_frames && e->pid == k->pid && e->tid == k->tid &&
	       e->comm == k->comm && e->thread == k->thread && e->unit == k->unit &&
	       e->state == k->state && e->wchan == k->wchan && e->bytes == k->bytes &&
	       e->life == k->life && e->owner == k->owner && e->own == k->own &&
	       (!k->n_frames ||
		!memcmp(a->runs.items + e->first_frame, a->runs.items + k->first_frame,
			k->n_frames * sizeof(*a->runs.items)));
}

/* The key of @s, with its run behind the last one that is kept. */
static int make_key(struct aggregate *a, const struct sample *s, struct key *ret)
{
	struct key k = {
		.first_frame = a->runs.n,
		.n_frames = (uint32_t)s->n_frames,
		.pid = s->labels.pid,
		.tid = s->labels.tid,
		.bytes = s->labels.bytes,
		.life = s->labels.life,
		.owner = s->labels.owner,
	};
	int r = 0;

	if (s->n_frames > UINT32_MAX || array_grow(&a->runs, s->n_frames) < 0)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < s->n_frames; i++)
		r = intern_frame(a, &s->frames[i], &a->runs.items[a->runs.n + i]);
	if (r == 0)
		r = intern_label(a, s->labels.comm, &k.comm);
	if (r == 0)
		r = intern_label(a, s->labels.thread, &k.thread);
	if (r == 0)
		r = intern_label(a, s->labels.unit, &k.unit);
	if (r == 0)
		r = intern_label(a, s->labels.state, &k.state);
	if (r == 0)
		r = intern_label(a, s->labels.wchan, &k.wchan);
	if (r == 0)
		r = intern_own(a, s->labels.own, &k.own);
	if (r < 0)
		return r;
	*ret = k;
	return 0;
}

static int add_entry(struct aggregate *a, const struct key *k, uint64_t hash)
{
	if (aggregate_is_full(a))
		return -ENOSPC;
	if (array_grow(&a->entries, 1) < 0 || array_grow(&a->values, a->n_values) < 0 ||
	    hash_index_add(&a->entry_index, hash, (uint32_t)a->entries.n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_values; i++)
		a->values.items[a->values.n++] = 0;
	a->entries.items[a->entries.n++] = *k;
	a->runs.n += k->n_frames;
	return 0;
}

/* Sums saturate: a peer that claims absurd amounts gets absurd amounts. */
static int64_t sum(int64_t a, int64_t b)
{
	int64_t s;

	if (__builtin_add_overflow(a, b, &s))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return s;
}

static int add_sample(struct aggregate *a, const struct sample *s, uint32_t *ret_entry)
{
	struct key k;
	uint64_t hash;
	uint32_t found;
	int r = make_key(a, s, &k);

	if (r < 0)
		return r;
	hash = entry_hash(a, &k);
	found = hash_index_find(&a->entry_index, hash, entry_equal, a, &k);
	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)a->entries.n;
		r = add_entry(a, &k, hash);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < a->n_values; i++) {
		int64_t *value = &a->values.items[found * a->n_values + i];

		*value = sum(*value, s->values[i]);
	}
	*ret_entry = found;
	return 0;
}

int aggregate_add(struct aggregate *a, const struct sample *s)
{
	uint32_t entry;

	return aggregate_intern(a, s, &entry);
}

int aggregate_intern(struct aggregate *a, const struct sample *s, uint32_t *ret_entry)
{
	int r = add_sample(a, s, ret_entry);

	if (r < 0)
		a->refused++;
	return r;
}

size_t aggregate_count(const struct aggregate *a)
{
	return a->entries.n;
}

uint64_t aggregate_refused(const struct aggregate *a)
{
	return a->refused;
}

size_t aggregate_n_values(const struct aggregate *a)
{
	return a->n_values;
}

const struct frame *aggregate_frames(const struct aggregate *a, size_t *ret_n)
{
	*ret_n = a->frames.n;
	return a->frames.items;
}

static const char *label(const struct aggregate *a, uint32_t number)
{
	return number ? string_table_get(&a->strings, number) : NULL;
}

void aggregate_entry(const struct aggregate *a, size_t i, struct aggregate_entry *ret_entry)
{
	const struct key *k = &a->entries.items[i];

	*ret_entry = (struct aggregate_entry){
		.frames = a->runs.items + k->first_frame,
		.n_frames = k->n_frames,
		.labels = {.pid = k->pid,
			   .tid = k->tid,
			   .comm = label(a, k->comm),
			   .thread = label(a, k->thread),
			   .unit = label(a, k->unit),
			   .state = label(a, k->state),
			   .wchan = label(a, k->wchan),
			   .own = label(a, k->own),
			   .bytes = k->bytes,
			   .life = k->life,
			   .owner = k->owner},
		.values = a->values.items + i * a->n_values,
	};
}

static int visit(const struct aggregate *a, size_t i, struct frame *frames,
		 int (*each)(const struct sample *s, void *userdata), void *userdata)
{
	struct sample s = {.frames = frames};
	struct aggregate_entry e;

	aggregate_entry(a, i, &e);
	for (size_t j = 0; j < e.n_frames; j++)
		frames[j] = a->frames.items[e.frames[j]];
	s.n_frames = e.n_frames;
	s.labels = e.labels;
	for (size_t j = 0; j < a->n_values; j++)
		s.values[j] = e.values[j];
	return each(&s, userdata);
}

int aggregate_each(const struct aggregate *a, int (*each)(const struct sample *s, void *userdata),
		   void *userdata)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t deepest = 1;
	int r = 0;

	for (size_t i = 0; i < a->entries.n; i++)
		deepest = max(deepest, (size_t)a->entries.items[i].n_frames);
	frames = calloc(deepest, sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < a->entries.n; i++)
		r = visit(a, i, frames, each, userdata);
	return r;
}
