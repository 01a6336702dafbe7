/*
 * From protobuf-c's messages to flat tables. Every index is checked. Ids of
 * other writers are any numbers; they are looked up, and become positions.
 * Equal strings and equal functions become one; locations stay apart even when
 * they are equal, for some writers give no addresses.
 */
#include "proto/pprof_table.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/profile.pb-c.h"

/* The ids of one foreign table: @ids.items[i] is what its entry i was called,
 * and @own[i] what it is called here. */
struct id_map {
	ARRAY_TABLE(uint64_t) ids;
	uint32_t *own;
	struct hash_index index;
};

static void id_map_done(struct id_map *map)
{
	free(map->ids.items);
	free(map->own);
	hash_index_done(&map->index);
}

static bool id_equal(const void *table, uint32_t record, const void *key)
{
	const struct id_map *map = table;

	return map->ids.items[record] == *(const uint64_t *)key;
}

static int id_map_init(struct id_map *map, size_t n)
{
	map->own = calloc(max(n, (size_t)1), sizeof(*map->own));
	return map->own && array_grow(&map->ids, n) == 0 ? 0 : -ENOMEM;
}

static int id_map_add(struct id_map *map, uint64_t id, uint32_t own)
{
	uint64_t hash = hash_index_bytes(&id, sizeof(id));

	if (!id || hash_index_find(&map->index, hash, id_equal, map, &id) != HASH_INDEX_NONE)
		return -EBADMSG;
	if (hash_index_add(&map->index, hash, (uint32_t)map->ids.n) < 0)
		return -ENOMEM;
	map->own[map->ids.n] = own;
	map->ids.items[map->ids.n++] = id;
	return 0;
}

/* 0: there is no such id. Nearly all writers count from 1. */
static uint32_t id_map_get(const struct id_map *map, uint64_t id)
{
	uint32_t found;

	if (id && id <= map->ids.n && map->ids.items[id - 1] == id)
		return map->own[id - 1];
	found = hash_index_find(&map->index, hash_index_bytes(&id, sizeof(id)), id_equal, map, &id);
	return found == HASH_INDEX_NONE ? 0 : map->own[found];
}

struct decoding {
	const Perftools__Profiles__Profile *from;
	struct pprof *to;
	uint32_t *strings; /* numbers of the string table's entries here */
	struct id_map mappings, functions, locations;
};

static void decoding_done(struct decoding *d)
{
	free(d->strings);
	id_map_done(&d->mappings);
	id_map_done(&d->functions);
	id_map_done(&d->locations);
}

static bool get_string(const struct decoding *d, int64_t number, uint32_t *ret)
{
	if (number < 0 || (uint64_t)number >= d->from->n_string_table)
		return false;
	*ret = d->strings[number];
	return true;
}

static int take_strings(struct decoding *d)
{
	size_t n = d->from->n_string_table;

	if (!n || *d->from->string_table[0])
		return -EBADMSG;
	d->strings = calloc(n, sizeof(*d->strings));
	if (!d->strings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (string_table_intern(&d->to->strings, d->from->string_table[i], &d->strings[i]) <
		    0)
			return -ENOMEM;
	return 0;
}

static int take_type(const struct decoding *d, const Perftools__Profiles__ValueType *from,
		     struct pprof_value_type *ret)
{
	return get_string(d, from->type, &ret->type) && get_string(d, from->unit, &ret->unit)
		       ? 0
		       : -EBADMSG;
}

static int take_header(struct decoding *d)
{
	const Perftools__Profiles__Profile *from = d->from;
	struct pprof *to = d->to;

	if (!get_string(d, from->drop_frames, &to->drop_frames) ||
	    !get_string(d, from->keep_frames, &to->keep_frames) ||
	    !get_string(d, from->default_sample_type, &to->default_type) ||
	    !get_string(d, from->doc_url, &to->doc_url))
		return -EBADMSG;
	to->time_ns = from->time_nanos;
	to->duration_ns = from->duration_nanos;
	to->period = from->period;
	to->has_period_type = !!from->period_type;
	if (from->period_type && take_type(d, from->period_type, &to->period_type) < 0)
		return -EBADMSG;
	if (array_grow(&to->comments, from->n_comment) < 0 ||
	    array_grow(&to->types, from->n_sample_type) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_comment; i++)
		if (!get_string(d, from->comment[i], &to->comments.items[to->comments.n++]))
			return -EBADMSG;
	for (size_t i = 0; i < from->n_sample_type; i++)
		if (take_type(d, from->sample_type[i], &to->types.items[to->types.n++]) < 0)
			return -EBADMSG;
	return to->types.n ? 0 : -EBADMSG;
}

static int take_mappings(struct decoding *d)
{
	int r = id_map_init(&d->mappings, d->from->n_mapping);

	for (size_t i = 0; r == 0 && i < d->from->n_mapping; i++) {
		const Perftools__Profiles__Mapping *m = d->from->mapping[i];
		struct pprof_mapping_record record = {
			.start = m->memory_start,
			.limit = m->memory_limit,
			.file_offset = m->file_offset,
			.flags = (m->has_functions ? PPROF_HAS_FUNCTIONS : 0) |
				 (m->has_filenames ? PPROF_HAS_FILENAMES : 0) |
				 (m->has_line_numbers ? PPROF_HAS_LINE_NUMBERS : 0) |
				 (m->has_inline_frames ? PPROF_HAS_INLINE_FRAMES : 0),
		};
		uint32_t id;

		if (!get_string(d, m->filename, &record.path) ||
		    !get_string(d, m->build_id, &record.build_id))
			return -EBADMSG;
		r = pprof_table_mapping(d->to, &record, &id);
		if (r == 0)
			r = id_map_add(&d->mappings, m->id, id);
	}
	return r;
}

static int take_functions(struct decoding *d)
{
	int r = id_map_init(&d->functions, d->from->n_function);

	for (size_t i = 0; r == 0 && i < d->from->n_function; i++) {
		const Perftools__Profiles__Function *f = d->from->function[i];
		struct pprof_function_record record = {.start_line = f->start_line};
		uint32_t id;

		if (!get_string(d, f->name, &record.name) ||
		    !get_string(d, f->system_name, &record.system_name) ||
		    !get_string(d, f->filename, &record.file))
			return -EBADMSG;
		r = pprof_table_function(d->to, &record, &id);
		if (r == 0)
			r = id_map_add(&d->functions, f->id, id);
	}
	return r;
}

static int take_location(struct decoding *d, const Perftools__Profiles__Location *l)
{
	struct pprof *to = d->to;
	struct pprof_location_record record = {
		.address = l->address,
		.mapping = id_map_get(&d->mappings, l->mapping_id),
		.n_lines = (uint32_t)l->n_line,
		.first_line = to->lines.n,
		.folded = l->is_folded,
	};
	uint32_t id;

	if ((l->mapping_id && !record.mapping) || l->n_line > UINT32_MAX)
		return -EBADMSG;
	if (array_grow(&to->lines, l->n_line) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < l->n_line; i++) {
		struct pprof_line_record line = {
			.function = id_map_get(&d->functions, l->line[i]->function_id),
			.line = l->line[i]->line,
			.column = l->line[i]->column,
		};

		if (!line.function)
			return -EBADMSG;
		to->lines.items[to->lines.n++] = line;
	}
	if (pprof_table_location(to, &record, &id) < 0)
		return -ENOMEM;
	return id_map_add(&d->locations, l->id, id);
}

static int take_locations(struct decoding *d)
{
	int r = id_map_init(&d->locations, d->from->n_location);

	for (size_t i = 0; r == 0 && i < d->from->n_location; i++)
		r = take_location(d, d->from->location[i]);
	return r;
}

static int take_labels(struct decoding *d, const Perftools__Profiles__Sample *s)
{
	for (size_t i = 0; i < s->n_label; i++) {
		struct pprof_label_record label = {.num = s->label[i]->num};

		if (!get_string(d, s->label[i]->key, &label.key) ||
		    !get_string(d, s->label[i]->str, &label.str) ||
		    !get_string(d, s->label[i]->num_unit, &label.unit))
			return -EBADMSG;
		if (pprof_table_label(d->to, &label) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int take_samples(struct decoding *d)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->from->n_sample; i++) {
		const Perftools__Profiles__Sample *s = d->from->sample[i];
		uint64_t *locations;
		int64_t *values;

		if (s->n_value != d->to->types.n)
			return -EBADMSG;
		r = pprof_table_sample(d->to, s->n_location_id, &locations, &values);
		if (r < 0)
			return r;
		memcpy(values, s->value, s->n_value * sizeof(*values));
		for (size_t j = 0; j < s->n_location_id; j++) {
			locations[j] = id_map_get(&d->locations, s->location_id[j]);
			if (!locations[j])
				return -EBADMSG;
		}
		r = take_labels(d, s);
	}
	return r;
}

int pprof_convert(const struct Perftools__Profiles__Profile *from, struct pprof *to)
{
	_cleanup_(decoding_done) struct decoding d = {.from = from, .to = to};
	int (*const steps[])(struct decoding *) = {
		take_strings,	take_header,	take_mappings,
		take_functions, take_locations, take_samples,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](&d);
	return r;
}
