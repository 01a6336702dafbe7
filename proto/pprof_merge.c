/*
 * Each sample is known by a key of bytes: its locations as numbers in the new
 * profile, and its labels written out. Keys lie one after another in one
 * buffer, values likewise, and an index finds the record of a key. Samples are
 * added to the new profile at the end, once their sums are known.
 */
#include "proto/pprof_merge.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/array.h"
#include "proto/hash_index.h"

struct record {
	size_t key, key_bytes; /* in keys */
	size_t input, sample;  /* the first of its kind, for the labels */
	size_t n_locations;
};

struct merge {
	const struct pprof_merge_input *inputs;
	struct pprof *to;
	size_t n_types;
	ARRAY_TABLE(uint8_t) keys;
	ARRAY_TABLE(struct record) records;
	ARRAY_TABLE(int64_t) values; /* n_types a record */
	struct hash_index index;
};

struct key {
	const uint8_t *bytes;
	size_t n;
};

static void merge_done(struct merge *m)
{
	free(m->keys.items);
	free(m->records.items);
	free(m->values.items);
	hash_index_done(&m->index);
	pprof_free(m->to);
}

static bool is_record(const void *table, uint32_t number, const void *key)
{
	const struct merge *m = table;
	const struct record *r = &m->records.items[number];
	const struct key *k = key;

	return r->key_bytes == k->n && memcmp(m->keys.items + r->key, k->bytes, k->n) == 0;
}

static int append(struct merge *m, const void *bytes, size_t n)
{
	if (array_grow(&m->keys, n) < 0)
		return -ENOMEM;
	memcpy(m->keys.items + m->keys.n, bytes, n);
	m->keys.n += n;
	return 0;
}

static int append_string(struct merge *m, const char *text)
{
	return append(m, text ?: "", text ? strlen(text) + 1 : 1);
}

static int append_label(struct merge *m, const struct pprof_label *l)
{
	int r = append_string(m, l->key);

	if (r >= 0)
		r = append_string(m, l->str);
	if (r >= 0)
		r = append(m, &l->num, sizeof(l->num));
	return r < 0 ? r : append_string(m, l->unit);
}

/* The locations of @from, by their number there, in the new profile. */
static int copy_locations(struct merge *m, const struct pprof *from, uint64_t **ret_ids)
{
	size_t n = pprof_n_locations(from), n_mappings = pprof_n_mappings(from);
	_cleanup_free_ uint64_t *ids = calloc(n + 1, sizeof(*ids));
	_cleanup_free_ uint64_t *mappings = calloc(n_mappings + 1, sizeof(*mappings));
	ARRAY_TABLE(struct pprof_line) lines = {};
	int r = ids && mappings ? 0 : -ENOMEM;

	for (uint64_t id = 1; r >= 0 && id <= n_mappings; id++) {
		struct pprof_mapping mapping;

		pprof_mapping(from, id, &mapping);
		r = pprof_add_mapping(m->to, &mapping, &mappings[id]);
	}
	for (uint64_t id = 1; r >= 0 && id <= n; id++) {
		struct pprof_location location;

		pprof_location(from, id, &location);
		r = array_grow(&lines, location.n_lines + 1);
		if (r < 0)
			break;
		for (size_t i = 0; i < location.n_lines; i++)
			pprof_location_line(from, id, i, &lines.items[i]);
		location.lines = location.n_lines > 0 ? lines.items : NULL;
		location.mapping = mappings[location.mapping];
		r = pprof_add_location(m->to, &location, &ids[id]);
	}
	free(lines.items);
	if (r >= 0)
		*ret_ids = take_ptr(ids);
	return r;
}

/* Writes the key of a sample at the end of the keys. */
static int write_key(struct merge *m, const struct pprof_merge_input *input, size_t sample,
		     const uint64_t *ids)
{
	struct pprof_sample s;
	struct pprof_label label;
	int r = 0;

	pprof_sample(input->profile, sample, &s);
	for (size_t i = 0; r >= 0 && i < s.n_locations; i++)
		r = append(m, &ids[s.locations[i]], sizeof(ids[0]));
	for (size_t i = 0; r >= 0 && i < s.n_labels; i++) {
		pprof_sample_label(input->profile, sample, i, &label);
		r = append_label(m, &label);
	}
	for (size_t i = 0; r >= 0 && i < input->n_labels; i++)
		r = append_label(m, &input->labels[i]);
	return r;
}

static int64_t add_value(int64_t to, int64_t value, bool subtract)
{
	int64_t sum;

	if (subtract ? !__builtin_sub_overflow(to, value, &sum)
		     : !__builtin_add_overflow(to, value, &sum))
		return sum;
	return to < 0 ? INT64_MIN : INT64_MAX;
}

/* The record of the key that begins at @begin, the last in the buffer. */
static int find_record(struct merge *m, const struct record *new, uint32_t *ret_number)
{
	struct key key = {.bytes = m->keys.items + new->key, .n = new->key_bytes};
	uint64_t hash = hash_index_bytes(key.bytes, key.n);
	uint32_t number = hash_index_find(&m->index, hash, is_record, m, &key);

	if (number != HASH_INDEX_NONE) {
		m->keys.n = new->key;
		*ret_number = number;
		return 0;
	}
	if (m->records.n >= HASH_INDEX_MAX || array_grow(&m->records, 1) < 0 ||
	    array_grow(&m->values, m->n_types) < 0)
		return -ENOMEM;
	number = (uint32_t)m->records.n;
	m->records.items[m->records.n++] = *new;
	memset(m->values.items + m->values.n, 0, m->n_types * sizeof(int64_t));
	m->values.n += m->n_types;
	*ret_number = number;
	return hash_index_add(&m->index, hash, number);
}

static int add_sample(struct merge *m, size_t input, size_t sample, const uint64_t *ids)
{
	const struct pprof_merge_input *from = &m->inputs[input];
	struct record new = {.key = m->keys.n, .input = input, .sample = sample};
	struct pprof_sample s;
	uint32_t number;
	int64_t *values;
	int r = write_key(m, from, sample, ids);

	if (r < 0)
		return r;
	pprof_sample(from->profile, sample, &s);
	new.key_bytes = m->keys.n - new.key;
	new.n_locations = s.n_locations;
	/* an empty key has no bytes to point at, and is as good as any */
	if (array_grow(&m->keys, 1) < 0)
		return -ENOMEM;
	r = find_record(m, &new, &number);
	if (r < 0)
		return r;
	values = m->values.items + number * m->n_types;
	for (size_t i = 0; i < m->n_types; i++)
		values[i] = add_value(values[i], s.values[i], from->subtract);
	return 0;
}

static int add_input(struct merge *m, size_t input)
{
	const struct pprof *from = m->inputs[input].profile;
	_cleanup_free_ uint64_t *ids = NULL;
	int r;

	if (m->inputs[input].n_labels > PPROF_MERGE_LABELS)
		return -EINVAL;
	r = copy_locations(m, from, &ids);
	for (size_t i = 0; r >= 0 && i < pprof_n_samples(from); i++)
		r = add_sample(m, input, i, ids);
	return r;
}

static bool is_nothing(const int64_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (values[i] != 0)
			return false;
	return true;
}

static int write_record(struct merge *m, size_t number)
{
	const struct record *r = &m->records.items[number];
	const struct pprof_merge_input *input = &m->inputs[r->input];
	ARRAY_TABLE(struct pprof_label) labels = {};
	_cleanup_free_ uint64_t *locations = calloc(r->n_locations + 1, sizeof(*locations));
	struct pprof_sample s;
	int result = -ENOMEM;

	pprof_sample(input->profile, r->sample, &s);
	if (!locations || array_grow(&labels, s.n_labels + input->n_labels + 1) < 0)
		goto out;
	memcpy(locations, m->keys.items + r->key, r->n_locations * sizeof(*locations));
	for (size_t i = 0; i < s.n_labels; i++)
		pprof_sample_label(input->profile, r->sample, i, &labels.items[labels.n++]);
	for (size_t i = 0; i < input->n_labels; i++)
		labels.items[labels.n++] = input->labels[i];
	s.locations = locations;
	s.values = m->values.items + number * m->n_types;
	s.labels = labels.items;
	s.n_labels = labels.n;
	result = pprof_add_sample(m->to, &s);
out:
	free(labels.items);
	return result;
}

static int copy_head(struct merge *m, const struct pprof *from)
{
	const char *type, *unit;
	int r = 0;

	m->n_types = pprof_n_sample_types(from);
	for (size_t i = 0; r >= 0 && i < m->n_types; i++) {
		pprof_sample_type(from, i, &type, &unit);
		r = pprof_add_sample_type(m->to, type, unit);
	}
	pprof_period_type(from, &type, &unit);
	if (r >= 0)
		r = pprof_set_period(m->to, type, unit, pprof_period(from));
	if (r >= 0)
		r = pprof_set_time(m->to, pprof_time_ns(from), pprof_duration_ns(from));
	if (r >= 0)
		r = pprof_set_default_type(m->to, pprof_default_type(from));
	return r < 0 ? r : pprof_set_drop_frames(m->to, pprof_drop_frames(from));
}

static bool has_comment(const struct pprof *p, const char *text)
{
	for (size_t i = 0; i < pprof_n_comments(p); i++)
		if (strcmp(pprof_comment(p, i), text) == 0)
			return true;
	return false;
}

static int copy_comments(struct merge *m, const struct pprof_merge_input *input)
{
	int r = 0;

	for (size_t i = 0; !input->subtract && r >= 0 && i < pprof_n_comments(input->profile); i++)
		if (!has_comment(m->to, pprof_comment(input->profile, i)))
			r = pprof_add_comment(m->to, pprof_comment(input->profile, i));
	return r;
}

int pprof_merge(const struct pprof_merge_input *inputs, size_t n, struct pprof **ret_p)
{
	_cleanup_(merge_done) struct merge m = {.inputs = inputs, .to = pprof_new()};
	int r = m.to ? copy_head(&m, inputs[0].profile) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (!pprof_same_kind(inputs[0].profile, inputs[i].profile))
			return -EINVAL;
		r = copy_comments(&m, &inputs[i]);
		if (r >= 0)
			r = add_input(&m, i);
	}
	for (size_t i = 0; r >= 0 && i < m.records.n; i++)
		if (!is_nothing(m.values.items + i * m.n_types, m.n_types))
			r = write_record(&m, i);
	if (r >= 0)
		*ret_p = take_ptr(m.to);
	return r;
}
