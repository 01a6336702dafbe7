/*
 * Building a profile.
 *
 * Everything goes into the flat tables of pprof_table.h as it comes. Mappings,
 * functions and locations are looked up by content first, so a caller may add
 * the same one a hundred thousand times and needs no table of its own.
 *
 * Invariants: ids are positions plus one; what refers to a record was checked
 * when it was added; the number of sample types is fixed by the first sample,
 * because values are stored in rows of that length.
 */
#include "proto/pprof.h"

#include <errno.h>
#include <string.h>

#include "proto/pprof_table.h"

struct pprof *pprof_new(void)
{
	struct pprof *p = calloc(1, sizeof(*p));

	/* the two arrays that samples point into are never NULL */
	if (p && (string_table_init(&p->strings) < 0 || array_grow(&p->sample_locations, 1) < 0 ||
		  array_grow(&p->values, 1) < 0)) {
		pprof_free(p);
		return NULL;
	}
	return p;
}

void pprof_free(struct pprof *p)
{
	if (!p)
		return;
	string_table_done(&p->strings);
	free(p->types.items);
	free(p->comments.items);
	free(p->mappings.items);
	free(p->functions.items);
	free(p->locations.items);
	free(p->lines.items);
	free(p->samples.items);
	free(p->sample_locations.items);
	free(p->values.items);
	free(p->labels.items);
	hash_index_done(&p->mapping_index);
	hash_index_done(&p->function_index);
	hash_index_done(&p->location_index);
	free(p);
}

static int intern(struct pprof *p, const char *string, uint32_t *ret)
{
	return string_table_intern(&p->strings, string, ret);
}

static int intern_type(struct pprof *p, const char *type, const char *unit,
		       struct pprof_value_type *ret)
{
	struct pprof_value_type t;

	if (intern(p, type, &t.type) < 0 || intern(p, unit, &t.unit) < 0)
		return -ENOMEM;
	*ret = t;
	return 0;
}

int pprof_add_sample_type(struct pprof *p, const char *type, const char *unit)
{
	struct pprof_value_type t, *added;

	if (p->samples.n)
		return -EINVAL;
	if (intern_type(p, type, unit, &t) < 0)
		return -ENOMEM;
	added = array_add(&p->types);
	if (!added)
		return -ENOMEM;
	*added = t;
	return 0;
}

int pprof_set_period(struct pprof *p, const char *type, const char *unit, int64_t period)
{
	if (intern_type(p, type, unit, &p->period_type) < 0)
		return -ENOMEM;
	p->has_period_type = true;
	p->period = period;
	return 0;
}

int pprof_set_time(struct pprof *p, int64_t unix_ns, int64_t duration_ns)
{
	p->time_ns = unix_ns;
	p->duration_ns = duration_ns;
	return 0;
}

int pprof_set_default_type(struct pprof *p, const char *type)
{
	return intern(p, type, &p->default_type);
}

int pprof_set_drop_frames(struct pprof *p, const char *regex)
{
	return intern(p, regex, &p->drop_frames);
}

int pprof_add_comment(struct pprof *p, const char *text)
{
	uint32_t number, *added;

	if (intern(p, text, &number) < 0)
		return -ENOMEM;
	added = array_add(&p->comments);
	if (!added)
		return -ENOMEM;
	*added = number;
	return 0;
}

int pprof_set_comment(struct pprof *p, size_t i, const char *text)
{
	uint32_t number;

	if (i >= p->comments.n)
		return -EINVAL;
	if (intern(p, text, &number) < 0)
		return -ENOMEM;
	p->comments.items[i] = number;
	return 0;
}

/* ---- mappings */

static uint64_t mapping_hash(const struct pprof_mapping_record *m)
{
	const uint64_t key[] = {m->start, m->limit, m->file_offset,
				(uint64_t)m->path << 32 | m->build_id};

	return hash_index_bytes(key, sizeof(key));
}

static bool mapping_equal(const void *table, uint32_t record, const void *key)
{
	const struct pprof *p = table;
	const struct pprof_mapping_record *m = &p->mappings.items[record], *other = key;

	return m->start == other->start && m->limit == other->limit &&
	       m->file_offset == other->file_offset && m->path == other->path &&
	       m->build_id == other->build_id;
}

int pprof_table_mapping(struct pprof *p, const struct pprof_mapping_record *m, uint32_t *ret_id)
{
	if (array_grow(&p->mappings, 1) < 0 ||
	    pprof_table_enter(p, &p->mapping_index, mapping_hash(m), mapping_equal, m,
			      p->mappings.n) < 0)
		return -ENOMEM;
	p->mappings.items[p->mappings.n++] = *m;
	*ret_id = (uint32_t)p->mappings.n;
	return 0;
}

int pprof_add_mapping(struct pprof *p, const struct pprof_mapping *m, uint64_t *ret_id)
{
	struct pprof_mapping_record record = {
		.start = m->start,
		.limit = m->limit,
		.file_offset = m->file_offset,
		.flags = m->symbolized ? PPROF_HAS_ALL : 0,
	};
	uint32_t found, id;

	if (intern(p, m->path, &record.path) < 0 || intern(p, m->build_id, &record.build_id) < 0)
		return -ENOMEM;
	found = hash_index_find(&p->mapping_index, mapping_hash(&record), mapping_equal, p,
				&record);
	if (found != HASH_INDEX_NONE) {
		p->mappings.items[found].flags |= record.flags;
		*ret_id = found + 1;
		return 0;
	}
	if (pprof_table_mapping(p, &record, &id) < 0)
		return -ENOMEM;
	*ret_id = id;
	return 0;
}

int pprof_set_symbolized(struct pprof *p, uint64_t mapping_id)
{
	if (!mapping_id || mapping_id > p->mappings.n)
		return -EINVAL;
	p->mappings.items[mapping_id - 1].flags = PPROF_HAS_ALL;
	return 0;
}

/* ---- samples */

int pprof_table_sample(struct pprof *p, size_t n_locations, uint64_t **ret_locations,
		       int64_t **ret_values)
{
	struct pprof_sample_record *s;

	if (n_locations > UINT32_MAX || array_grow(&p->sample_locations, n_locations) < 0 ||
	    array_grow(&p->values, p->types.n) < 0)
		return -ENOMEM;
	s = array_add(&p->samples);
	if (!s)
		return -ENOMEM;
	s->first_location = p->sample_locations.n;
	s->n_locations = (uint32_t)n_locations;
	s->first_label = p->labels.n;
	*ret_locations = p->sample_locations.items + p->sample_locations.n;
	*ret_values = p->values.items + p->values.n;
	p->sample_locations.n += n_locations;
	p->values.n += p->types.n;
	return 0;
}

int pprof_table_label(struct pprof *p, const struct pprof_label_record *label)
{
	struct pprof_sample_record *s = &p->samples.items[p->samples.n - 1];
	struct pprof_label_record *added;

	if (!label->key || (!label->str && !label->num && !label->unit))
		return 0;
	for (size_t i = s->first_label; i < p->labels.n; i++)
		if (p->labels.items[i].key == label->key)
			return 0;
	added = array_add(&p->labels);
	if (!added)
		return -ENOMEM;
	*added = *label;
	if (added->str) { /* a string and a number under one key: the string it is */
		added->num = 0;
		added->unit = 0;
	}
	s->n_labels++;
	return 0;
}

static int add_label(struct pprof *p, const struct pprof_label *label)
{
	struct pprof_label_record record = {0};

	if (intern(p, label->key, &record.key) < 0 || intern(p, label->str, &record.str) < 0)
		return -ENOMEM;
	if (!label->str) {
		record.num = label->num;
		if (intern(p, label->unit, &record.unit) < 0)
			return -ENOMEM;
	}
	return pprof_table_label(p, &record);
}

int pprof_add_sample(struct pprof *p, const struct pprof_sample *s)
{
	uint64_t *locations;
	int64_t *values;

	for (size_t i = 0; i < s->n_locations; i++)
		if (!s->locations[i] || s->locations[i] > p->locations.n)
			return -EINVAL;
	if (pprof_table_sample(p, s->n_locations, &locations, &values) < 0)
		return -ENOMEM;
	if (s->n_locations)
		memcpy(locations, s->locations, s->n_locations * sizeof(*locations));
	if (p->types.n)
		memcpy(values, s->values, p->types.n * sizeof(*values));
	for (size_t i = 0; i < s->n_labels; i++)
		if (add_label(p, &s->labels[i]) < 0)
			return -ENOMEM;
	return 0;
}
