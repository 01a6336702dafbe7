/*
 * Looking into a profile: no more than numbers turned into pointers. Ids come
 * from the profile itself, so one that is out of range is the caller's bug.
 */
#include "proto/pprof.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/pprof_table.h"

static const char *string(const struct pprof *p, uint32_t number)
{
	return string_table_get(&p->strings, number);
}

size_t pprof_n_sample_types(const struct pprof *p)
{
	return p->types.n;
}

void pprof_sample_type(const struct pprof *p, size_t i, const char **ret_type,
		       const char **ret_unit)
{
	assert(i < p->types.n);
	*ret_type = string(p, p->types.items[i].type);
	*ret_unit = string(p, p->types.items[i].unit);
}

const char *pprof_default_type(const struct pprof *p)
{
	return string(p, p->default_type);
}

static bool find_named(const struct pprof *p, const char *name, size_t *ret_i)
{
	for (size_t i = 0; i < p->types.n; i++)
		if (!strcmp(string(p, p->types.items[i].type), name)) {
			*ret_i = i;
			return true;
		}
	return false;
}

int pprof_find_type(const struct pprof *p, const char *name, size_t *ret_i)
{
	if (!p->types.n)
		return -ENOENT;
	if (name)
		return find_named(p, name, ret_i) ? 0 : -ENOENT;
	if (!p->default_type || !find_named(p, pprof_default_type(p), ret_i))
		*ret_i = p->types.n - 1;
	return 0;
}

int64_t pprof_time_ns(const struct pprof *p)
{
	return p->time_ns;
}

int64_t pprof_duration_ns(const struct pprof *p)
{
	return p->duration_ns;
}

int64_t pprof_period(const struct pprof *p)
{
	return p->period;
}

void pprof_period_type(const struct pprof *p, const char **ret_type, const char **ret_unit)
{
	*ret_type = p->has_period_type ? string(p, p->period_type.type) : "";
	*ret_unit = p->has_period_type ? string(p, p->period_type.unit) : "";
}

bool pprof_same_kind(const struct pprof *a, const struct pprof *b)
{
	const char *type_a, *unit_a, *type_b, *unit_b;

	pprof_period_type(a, &type_a, &unit_a);
	pprof_period_type(b, &type_b, &unit_b);
	if (strcmp(type_a, type_b) != 0 || strcmp(unit_a, unit_b) != 0 || a->types.n != b->types.n)
		return false;
	for (size_t i = 0; i < a->types.n; i++) {
		pprof_sample_type(a, i, &type_a, &unit_a);
		pprof_sample_type(b, i, &type_b, &unit_b);
		if (strcmp(type_a, type_b) != 0 || strcmp(unit_a, unit_b) != 0)
			return false;
	}
	return true;
}

const char *pprof_drop_frames(const struct pprof *p)
{
	return string(p, p->drop_frames);
}

size_t pprof_n_comments(const struct pprof *p)
{
	return p->comments.n;
}

const char *pprof_comment(const struct pprof *p, size_t i)
{
	assert(i < p->comments.n);
	return string(p, p->comments.items[i]);
}

size_t pprof_n_mappings(const struct pprof *p)
{
	return p->mappings.n;
}

void pprof_mapping(const struct pprof *p, uint64_t id, struct pprof_mapping *ret_m)
{
	const struct pprof_mapping_record *m;

	assert(id && id <= p->mappings.n);
	m = &p->mappings.items[id - 1];
	*ret_m = (struct pprof_mapping){
		.start = m->start,
		.limit = m->limit,
		.file_offset = m->file_offset,
		.path = string(p, m->path),
		.build_id = string(p, m->build_id),
		.symbolized = m->flags != 0,
	};
}

size_t pprof_n_locations(const struct pprof *p)
{
	return p->locations.n;
}

void pprof_location(const struct pprof *p, uint64_t id, struct pprof_location *ret_l)
{
	const struct pprof_location_record *l;

	assert(id && id <= p->locations.n);
	l = &p->locations.items[id - 1];
	*ret_l = (struct pprof_location){
		.mapping = l->mapping,
		.address = l->address,
		.n_lines = l->n_lines,
	};
}

void pprof_location_line(const struct pprof *p, uint64_t id, size_t i, struct pprof_line *ret_line)
{
	const struct pprof_location_record *l;
	const struct pprof_line_record *line;
	const struct pprof_function_record *f;

	assert(id && id <= p->locations.n);
	l = &p->locations.items[id - 1];
	assert(i < l->n_lines);
	line = &p->lines.items[l->first_line + i];
	f = &p->functions.items[line->function - 1];
	*ret_line = (struct pprof_line){
		.name = string(p, f->name),
		.system_name = string(p, f->system_name),
		.file = string(p, f->file),
		.start_line = f->start_line,
		.line = line->line,
	};
}

size_t pprof_n_samples(const struct pprof *p)
{
	return p->samples.n;
}

void pprof_sample(const struct pprof *p, size_t i, struct pprof_sample *ret_s)
{
	const struct pprof_sample_record *s;

	assert(i < p->samples.n);
	s = &p->samples.items[i];
	*ret_s = (struct pprof_sample){
		.locations = p->sample_locations.items + s->first_location,
		.n_locations = s->n_locations,
		.values = p->values.items + i * p->types.n,
		.n_labels = s->n_labels,
	};
}

void pprof_sample_label(const struct pprof *p, size_t i, size_t label,
			struct pprof_label *ret_label)
{
	const struct pprof_label_record *l;

	assert(i < p->samples.n && label < p->samples.items[i].n_labels);
	l = &p->labels.items[p->samples.items[i].first_label + label];
	*ret_label = (struct pprof_label){
		.key = string(p, l->key),
		.str = l->str ? string(p, l->str) : NULL,
		.num = l->num,
		.unit = string(p, l->unit),
	};
}
