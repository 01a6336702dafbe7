/*
 * Building a profile, continued (pprof.c): functions, locations, and the lines
 * that join them. Functions and locations are found by what is in them.
 */
#include "proto/pprof.h"

#include <errno.h>

#include "proto/pprof_table.h"

int pprof_table_enter(const struct pprof *p, struct hash_index *index, uint64_t hash,
		      hash_index_equal_t equal, const void *key, size_t n)
{
	if (n >= HASH_INDEX_MAX)
		return -ENOMEM;
	if (hash_index_find(index, hash, equal, p, key) != HASH_INDEX_NONE)
		return 0;
	return hash_index_add(index, hash, (uint32_t)n);
}

/* ---- functions */

static bool function_equal(const void *table, uint32_t record, const void *key)
{
	const struct pprof *p = table;
	const struct pprof_function_record *f = &p->functions.items[record], *other = key;

	return f->name == other->name && f->system_name == other->system_name &&
	       f->file == other->file && f->start_line == other->start_line;
}

int pprof_table_function(struct pprof *p, const struct pprof_function_record *f, uint32_t *ret_id)
{
	const uint64_t key[] = {(uint64_t)f->name << 32 | f->system_name, f->file,
				(uint64_t)f->start_line};
	uint64_t hash = hash_index_bytes(key, sizeof(key));
	uint32_t found = hash_index_find(&p->function_index, hash, function_equal, p, f);

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)p->functions.n;
		if (array_grow(&p->functions, 1) < 0 ||
		    hash_index_add(&p->function_index, hash, found) < 0)
			return -ENOMEM;
		p->functions.items[p->functions.n++] = *f;
	}
	*ret_id = found + 1;
	return 0;
}

/* ---- locations */

static uint64_t location_hash(const struct pprof_location_record *l)
{
	const uint64_t key[] = {l->mapping, l->address};

	return hash_index_bytes(key, sizeof(key));
}

static bool location_equal(const void *table, uint32_t record, const void *key)
{
	const struct pprof *p = table;
	const struct pprof_location_record *l = &p->locations.items[record], *other = key;

	return l->mapping == other->mapping && l->address == other->address;
}

int pprof_table_location(struct pprof *p, const struct pprof_location_record *l, uint32_t *ret_id)
{
	if (array_grow(&p->locations, 1) < 0 ||
	    pprof_table_enter(p, &p->location_index, location_hash(l), location_equal, l,
			      p->locations.n) < 0)
		return -ENOMEM;
	p->locations.items[p->locations.n++] = *l;
	*ret_id = (uint32_t)p->locations.n;
	return 0;
}

int pprof_add_location(struct pprof *p, const struct pprof_location *l, uint64_t *ret_id)
{
	struct pprof_location_record record = {.address = l->address};
	uint32_t found, id;
	int r;

	if (l->mapping > p->mappings.n)
		return -EINVAL;
	record.mapping = (uint32_t)l->mapping;
	found = hash_index_find(&p->location_index, location_hash(&record), location_equal, p,
				&record);
	if (found != HASH_INDEX_NONE) {
		id = found + 1;
	} else {
		r = pprof_table_location(p, &record, &id);
		if (r < 0)
			return r;
	}
	if (l->lines && !p->locations.items[id - 1].n_lines) {
		r = pprof_set_lines(p, id, l->lines, l->n_lines);
		if (r < 0)
			return r;
	}
	*ret_id = id;
	return 0;
}

/* ---- lines */

int pprof_add_function(struct pprof *p, const struct pprof_line *line, uint32_t *ret_id)
{
	struct pprof_function_record f = {.start_line = line->start_line};

	if (string_table_intern(&p->strings, line->name, &f.name) < 0 ||
	    string_table_intern(&p->strings, line->system_name, &f.system_name) < 0 ||
	    string_table_intern(&p->strings, line->file, &f.file) < 0)
		return -ENOMEM;
	return pprof_table_function(p, &f, ret_id);
}

/* Room for them behind all others. Lines that are replaced stay in the table,
 * referred to by nothing. */
static int begin_lines(struct pprof *p, uint64_t id, size_t n_lines)
{
	if (!id || id > p->locations.n || n_lines > UINT32_MAX)
		return -EINVAL;
	return array_grow(&p->lines, n_lines);
}

static void end_lines(struct pprof *p, uint64_t id, size_t n_lines)
{
	p->locations.items[id - 1].first_line = p->lines.n;
	p->locations.items[id - 1].n_lines = (uint32_t)n_lines;
	p->lines.n += n_lines;
}

int pprof_set_lines(struct pprof *p, uint64_t id, const struct pprof_line *lines, size_t n_lines)
{
	int r = begin_lines(p, id, n_lines);

	for (size_t i = 0; r == 0 && i < n_lines; i++) {
		struct pprof_line_record *to = &p->lines.items[p->lines.n + i];

		*to = (struct pprof_line_record){.line = lines[i].line};
		r = pprof_add_function(p, &lines[i], &to->function);
	}
	if (r == 0)
		end_lines(p, id, n_lines);
	return r;
}

int pprof_set_line_functions(struct pprof *p, uint64_t id, const struct pprof_line_function *lines,
			     size_t n_lines)
{
	int r = begin_lines(p, id, n_lines);

	for (size_t i = 0; r == 0 && i < n_lines; i++) {
		if (!lines[i].function || lines[i].function > p->functions.n)
			return -EINVAL;
		p->lines.items[p->lines.n + i] = (struct pprof_line_record){
			.function = lines[i].function, .line = lines[i].line};
	}
	if (r == 0)
		end_lines(p, id, n_lines);
	return r;
}
