/*
 * Each profile's locations are first turned into frames (row, line), once; then
 * its samples are summed over them. Rows are shared between the two profiles,
 * the earlier one counting with a minus.
 *
 * A row's line is where most of its flat value is, so flat is also summed by
 * (row, line).
 */
#include "proto/pprof_top.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "proto/pprof_prune.h"
#include "proto/pprof_table.h"

struct pprof_top_strings {
	struct string_table table;
};

struct row {
	uint32_t name, file;
	int64_t flat, cum;
	uint64_t counted; /* number of the sample that counted in cum last */
	int64_t first_line;
};

struct row_line {
	uint32_t row;
	int64_t line, flat;
};

struct frame_ref {
	uint32_t row, row_line;
};

struct summing {
	struct pprof_top_strings *strings;
	ARRAY_TABLE(struct row) rows;
	ARRAY_TABLE(struct row_line) lines;
	struct hash_index row_index, line_index;
	uint64_t n_samples;
	int64_t total;

	/* of the profile at hand */
	const struct pprof *profile;
	struct pprof_pruned *pruned;
	ARRAY_TABLE(struct frame_ref) frames; /* locations', innermost first */
	size_t *first_frame;		      /* of location id, in [id - 1]; then the end */
};

static void profile_done(struct summing *s)
{
	free(s->pruned);
	free(s->first_frame);
	s->pruned = NULL;
	s->first_frame = NULL;
	s->frames.n = 0;
}

static void summing_done(struct summing *s)
{
	profile_done(s);
	if (s->strings)
		string_table_done(&s->strings->table);
	free(s->strings);
	free(s->rows.items);
	free(s->lines.items);
	free(s->frames.items);
	hash_index_done(&s->row_index);
	hash_index_done(&s->line_index);
}

static bool row_equal(const void *table, uint32_t record, const void *key)
{
	const struct row *r = &((const struct summing *)table)->rows.items[record];
	const struct row *other = key;

	return r->name == other->name && r->file == other->file;
}

static int find_row(struct summing *s, const struct row *wanted, uint32_t *ret)
{
	const uint32_t key[] = {wanted->name, wanted->file};
	uint64_t hash = hash_index_bytes(key, sizeof(key));
	uint32_t found = hash_index_find(&s->row_index, hash, row_equal, s, wanted);

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)s->rows.n;
		if (array_grow(&s->rows, 1) < 0 || hash_index_add(&s->row_index, hash, found) < 0)
			return -ENOMEM;
		s->rows.items[s->rows.n++] = *wanted;
	}
	*ret = found;
	return 0;
}

static bool line_equal(const void *table, uint32_t record, const void *key)
{
	const struct row_line *l = &((const struct summing *)table)->lines.items[record];
	const struct row_line *other = key;

	return l->row == other->row && l->line == other->line;
}

static int find_line(struct summing *s, const struct row_line *wanted, uint32_t *ret)
{
	const uint64_t key[] = {wanted->row, (uint64_t)wanted->line};
	uint64_t hash = hash_index_bytes(key, sizeof(key));
	uint32_t found = hash_index_find(&s->line_index, hash, line_equal, s, wanted);

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)s->lines.n;
		if (array_grow(&s->lines, 1) < 0 || hash_index_add(&s->line_index, hash, found) < 0)
			return -ENOMEM;
		s->lines.items[s->lines.n++] = *wanted;
	}
	*ret = found;
	return 0;
}

static int add_frame(struct summing *s, const char *name, const char *file, int64_t line)
{
	struct row row = {.first_line = line};
	struct row_line row_line = {.line = line};
	struct frame_ref frame;

	if (string_table_intern(&s->strings->table, name, &row.name) < 0 ||
	    string_table_intern(&s->strings->table, file, &row.file) < 0 ||
	    find_row(s, &row, &frame.row) < 0)
		return -ENOMEM;
	row_line.row = frame.row;
	if (find_line(s, &row_line, &frame.row_line) < 0 || array_grow(&s->frames, 1) < 0)
		return -ENOMEM;
	s->frames.items[s->frames.n++] = frame;
	return 0;
}

static int add_nameless(struct summing *s, uint64_t mapping)
{
	_cleanup_free_ char *name = NULL;
	struct pprof_mapping m = {.path = ""};
	const char *slash;

	if (mapping)
		pprof_mapping(s->profile, mapping, &m);
	if (!*m.path)
		return add_frame(s, "<unknown>", "", 0);
	slash = strrchr(m.path, '/');
	if (asprintf(&name, "[%s]", slash ? slash + 1 : m.path) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	return add_frame(s, name, m.path, 0);
}

static int add_location(struct summing *s, uint64_t id)
{
	struct pprof_location l;
	int r = 0;

	pprof_location(s->profile, id, &l);
	if (!l.n_lines)
		return add_nameless(s, l.mapping);
	for (size_t i = s->pruned[id - 1].n_lines; r == 0 && i < l.n_lines; i++) {
		struct pprof_line line;

		pprof_location_line(s->profile, id, i, &line);
		r = add_frame(s, *line.name ? line.name : "<unknown>", line.file, line.line);
	}
	return r;
}

static int add_locations(struct summing *s)
{
	size_t n = pprof_n_locations(s->profile);
	int r = pprof_prune(s->profile, NULL, &s->pruned);

	if (r < 0)
		return r;
	s->first_frame = calloc(n + 1, sizeof(*s->first_frame));
	if (!s->first_frame)
		return -ENOMEM;
	for (uint64_t id = 1; r == 0 && id <= n; id++) {
		s->first_frame[id - 1] = s->frames.n;
		r = add_location(s, id);
	}
	s->first_frame[n] = s->frames.n;
	return r;
}

/* ---- summing */

/* Sums saturate: files may hold any numbers. */
static void add_to(int64_t *sum, int64_t value)
{
	int64_t was = *sum;

	if (__builtin_add_overflow(was, value, sum))
		*sum = was < 0 ? INT64_MIN : INT64_MAX;
}

/* Each row once, however often it recurs in the stack. */
static void add_cum(struct summing *s, uint64_t location, int64_t value)
{
	for (size_t i = s->first_frame[location - 1]; i < s->first_frame[location]; i++) {
		struct row *row = &s->rows.items[s->frames.items[i].row];

		if (row->counted != s->n_samples)
			add_to(&row->cum, value);
		row->counted = s->n_samples;
	}
}

static void add_sample(struct summing *s, const struct pprof_sample *sample, int64_t value)
{
	size_t leaf = pprof_prune_sample(s->pruned, sample->locations, sample->n_locations);
	const struct frame_ref *frame;

	s->n_samples++;
	add_to(&s->total, value);
	if (leaf == sample->n_locations)
		return;
	frame = &s->frames.items[s->first_frame[sample->locations[leaf] - 1]];
	add_to(&s->rows.items[frame->row].flat, value);
	add_to(&s->lines.items[frame->row_line].flat, value);
	for (size_t i = leaf; i < sample->n_locations; i++)
		add_cum(s, sample->locations[i], value);
}

static int add_profile(struct summing *s, const struct pprof *p, size_t type, int64_t sign)
{
	int r;

	s->profile = p;
	r = add_locations(s);
	for (size_t i = 0; r == 0 && i < pprof_n_samples(p); i++) {
		struct pprof_sample sample;

		pprof_sample(p, i, &sample);
		if (sample.values[type] != INT64_MIN) /* has no opposite, and no meaning */
			add_sample(s, &sample, sign * sample.values[type]);
	}
	profile_done(s);
	return r;
}

/* ---- the result */

static int64_t size_of(int64_t value)
{
	return value == INT64_MIN ? INT64_MAX : value < 0 ? -value : value;
}

static int entry_order(const void *left, const void *right)
{
	const struct pprof_top_entry *a = left, *b = right;
	int r;

	if (size_of(a->flat) != size_of(b->flat))
		return size_of(a->flat) > size_of(b->flat) ? -1 : 1;
	if (size_of(a->cum) != size_of(b->cum))
		return size_of(a->cum) > size_of(b->cum) ? -1 : 1;
	r = strcmp(a->name, b->name);
	return r ? r : strcmp(a->file, b->file);
}

static void choose_lines(const struct summing *s, struct pprof_top_entry *entries, int64_t *largest)
{
	for (size_t i = 0; i < s->lines.n; i++) {
		const struct row_line *l = &s->lines.items[i];

		if (size_of(l->flat) > largest[l->row]) {
			largest[l->row] = size_of(l->flat);
			entries[l->row].line = l->line;
		}
	}
}

static int make_result(struct summing *s, struct pprof_top *top)
{
	_cleanup_free_ int64_t *largest = calloc(s->rows.n + 1, sizeof(*largest));
	struct pprof_top_entry *entries = calloc(s->rows.n + 1, sizeof(*entries));
	size_t n = 0;

	if (!largest || !entries) {
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->rows.n; i++) {
		const struct row *row = &s->rows.items[i];

		entries[i] = (struct pprof_top_entry){
			.name = string_table_get(&s->strings->table, row->name),
			.file = string_table_get(&s->strings->table, row->file),
			.line = row->first_line,
			.flat = row->flat,
			.cum = row->cum,
		};
	}
	choose_lines(s, entries, largest);
	for (size_t i = 0; i < s->rows.n; i++)
		if (entries[i].flat || entries[i].cum)
			entries[n++] = entries[i];
	qsort(entries, n, sizeof(*entries), entry_order);
	top->entries = entries;
	top->n_entries = n;
	top->total = s->total;
	top->strings = take_ptr(s->strings);
	return 0;
}

static int find_base_type(const struct pprof *p, size_t type, const struct pprof *base, size_t *ret)
{
	const char *name, *unit, *base_name, *base_unit;

	pprof_sample_type(p, type, &name, &unit);
	for (size_t i = 0; i < pprof_n_sample_types(base); i++) {
		pprof_sample_type(base, i, &base_name, &base_unit);
		if (!strcmp(name, base_name) && !strcmp(unit, base_unit)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int sum(struct summing *s, const struct pprof *p, const struct pprof *base, size_t type)
{
	size_t base_type;
	int r;

	if (type >= pprof_n_sample_types(p))
		return -EINVAL;
	s->strings = calloc(1, sizeof(*s->strings));
	if (!s->strings || string_table_init(&s->strings->table) < 0)
		return -ENOMEM;
	r = add_profile(s, p, type, 1);
	if (r < 0 || !base)
		return r;
	r = find_base_type(p, type, base, &base_type);
	return r < 0 ? r : add_profile(s, base, base_type, -1);
}

int pprof_top_new(const struct pprof *p, const struct pprof *base, size_t type,
		  struct pprof_top **ret_top)
{
	_cleanup_(summing_done) struct summing s = {0};
	struct pprof_top *top;
	int r = sum(&s, p, base, type);

	if (r < 0)
		return r;
	top = calloc(1, sizeof(*top));
	if (!top)
		return -ENOMEM;
	r = make_result(&s, top);
	if (r < 0) {
		free(top);
		return r;
	}
	*ret_top = top;
	return 0;
}

void pprof_top_free(struct pprof_top *top)
{
	if (!top)
		return;
	string_table_done(&top->strings->table);
	free(top->strings);
	free(top->entries);
	free(top);
}
