/*
 * Encoding, straight from the flat tables to the wire. (protobuf-c would want a
 * structure laid out for every message first, and then asks each of them for its
 * size once a level: four times the instructions, and the memory of the profile
 * again. What is written here is read back with it.)
 *
 * A message within another carries its length in front, which is known when it has
 * been written: one byte is left free for it, which nearly always suffices; a
 * longer message moves up.
 *
 * A gzip'd profile goes to the compressor a block at a time.
 */
#include "proto/pprof.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/gzip.h"
#include "proto/pprof_table.h"

#define FLUSH_BYTES  (64 * 1024)
#define VARINT_BYTES 10 /* of 64 bits, at most */

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2 };

struct out {
	ARRAY_TABLE(uint8_t) block;
	struct gzip_writer *writer; /* NULL: all stays in the block */
	bool failed;		    /* out of memory; nothing is added any more */
};

/* Room for @n bytes more, to be filled and counted by the caller; NULL: there is none. */
static uint8_t *reserve(struct out *o, size_t n)
{
	if (o->failed || array_grow(&o->block, n) < 0) {
		o->failed = true;
		return NULL;
	}
	return o->block.items + o->block.n;
}

static size_t write_varint(uint8_t *to, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		to[n++] = (uint8_t)(value | 0x80);
	to[n++] = (uint8_t)value;
	return n;
}

static void add_varint(struct out *o, uint64_t value)
{
	uint8_t *to = reserve(o, VARINT_BYTES);

	if (to)
		o->block.n += write_varint(to, value);
}

static void add_tag(struct out *o, unsigned field, enum wire wire)
{
	add_varint(o, field << 3 | wire);
}

/* Zero is what a reader finds where there is nothing. */
static void add_number(struct out *o, unsigned field, uint64_t value)
{
	if (!value)
		return;
	add_tag(o, field, WIRE_VARINT);
	add_varint(o, value);
}

static size_t begin(struct out *o, unsigned field)
{
	add_tag(o, field, WIRE_BYTES);
	if (reserve(o, 1))
		o->block.n++;
	return o->block.n;
}

static void end(struct out *o, size_t start)
{
	size_t n = o->block.n - start, n_length;
	uint8_t length[VARINT_BYTES], *at;

	n_length = write_varint(length, n);
	if (!reserve(o, n_length - 1))
		return;
	at = o->block.items + start;
	if (n_length > 1)
		memmove(at + n_length - 1, at, n);
	memcpy(at - 1, length, n_length);
	o->block.n += n_length - 1;
}

/* Between two messages of the profile itself. */
static void flush(struct out *o)
{
	if (!o->writer || o->block.n < FLUSH_BYTES)
		return;
	gzip_writer_add(o->writer, o->block.items, o->block.n);
	o->block.n = 0;
}

/* ---- the messages; fields in the order of their numbers (profile.proto) */

static void add_type(struct out *o, unsigned field, const struct pprof_value_type *t)
{
	size_t start = begin(o, field);

	add_number(o, 1, t->type);
	add_number(o, 2, t->unit);
	end(o, start);
}

static void add_packed(struct out *o, unsigned field, const uint64_t *values, size_t n)
{
	size_t start;
	uint8_t *to;

	if (!n)
		return;
	start = begin(o, field);
	to = reserve(o, n * VARINT_BYTES);
	if (!to)
		return;
	for (size_t i = 0; i < n; i++)
		to += write_varint(to, values[i]);
	o->block.n = (size_t)(to - o->block.items);
	end(o, start);
}

static void add_label(struct out *o, const struct pprof_label_record *l)
{
	size_t start = begin(o, 3);

	add_number(o, 1, l->key);
	add_number(o, 2, l->str);
	add_number(o, 3, (uint64_t)l->num);
	add_number(o, 4, l->unit);
	end(o, start);
}

static void add_samples(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct pprof_sample_record *s = &p->samples.items[i];
		size_t start = begin(o, 2);

		add_packed(o, 1, p->sample_locations.items + s->first_location, s->n_locations);
		add_packed(o, 2, (const uint64_t *)p->values.items + i * p->types.n, p->types.n);
		for (size_t j = 0; j < s->n_labels; j++)
			add_label(o, &p->labels.items[s->first_label + j]);
		end(o, start);
		flush(o);
	}
}

static void add_mappings(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct pprof_mapping_record *m = &p->mappings.items[i];
		size_t start = begin(o, 3);

		add_number(o, 1, i + 1);
		add_number(o, 2, m->start);
		add_number(o, 3, m->limit);
		add_number(o, 4, m->file_offset);
		add_number(o, 5, m->path);
		add_number(o, 6, m->build_id);
		add_number(o, 7, !!(m->flags & PPROF_HAS_FUNCTIONS));
		add_number(o, 8, !!(m->flags & PPROF_HAS_FILENAMES));
		add_number(o, 9, !!(m->flags & PPROF_HAS_LINE_NUMBERS));
		add_number(o, 10, !!(m->flags & PPROF_HAS_INLINE_FRAMES));
		end(o, start);
		flush(o);
	}
}

static void add_line(struct out *o, const struct pprof_line_record *line)
{
	size_t start = begin(o, 4);

	add_number(o, 1, line->function);
	add_number(o, 2, (uint64_t)line->line);
	add_number(o, 3, (uint64_t)line->column);
	end(o, start);
}

static void add_locations(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->locations.n; i++) {
		const struct pprof_location_record *l = &p->locations.items[i];
		size_t start = begin(o, 4);

		add_number(o, 1, i + 1);
		add_number(o, 2, l->mapping);
		add_number(o, 3, l->address);
		for (size_t j = 0; j < l->n_lines; j++)
			add_line(o, &p->lines.items[l->first_line + j]);
		add_number(o, 5, l->folded);
		end(o, start);
		flush(o);
	}
}

static void add_functions(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct pprof_function_record *f = &p->functions.items[i];
		size_t start = begin(o, 5);

		add_number(o, 1, i + 1);
		add_number(o, 2, f->name);
		add_number(o, 3, f->system_name);
		add_number(o, 4, f->file);
		add_number(o, 5, (uint64_t)f->start_line);
		end(o, start);
		flush(o);
	}
}

/* Empty ones too: they are counted. */
static void add_strings(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->strings.strings.n; i++) {
		const char *string = p->strings.strings.items[i];
		size_t n = strlen(string);
		uint8_t *to;

		add_tag(o, 6, WIRE_BYTES);
		add_varint(o, n);
		to = reserve(o, n);
		if (!to)
			return;
		memcpy(to, string, n);
		o->block.n += n;
		flush(o);
	}
}

static void add_header(struct out *o, const struct pprof *p)
{
	size_t start;

	add_number(o, 7, p->drop_frames);
	add_number(o, 8, p->keep_frames);
	add_number(o, 9, (uint64_t)p->time_ns);
	add_number(o, 10, (uint64_t)p->duration_ns);
	if (p->has_period_type)
		add_type(o, 11, &p->period_type);
	add_number(o, 12, (uint64_t)p->period);
	if (p->comments.n) {
		start = begin(o, 13);
		for (size_t i = 0; i < p->comments.n; i++)
			add_varint(o, p->comments.items[i]);
		end(o, start);
	}
	add_number(o, 14, p->default_type);
	add_number(o, 15, p->doc_url);
}

static int encode(struct out *o, const struct pprof *p)
{
	for (size_t i = 0; i < p->types.n; i++)
		add_type(o, 1, &p->types.items[i]);
	add_samples(o, p);
	add_mappings(o, p);
	add_locations(o, p);
	add_functions(o, p);
	add_strings(o, p);
	add_header(o, p);
	return o->failed ? -ENOMEM : 0;
}

int pprof_encode(const struct pprof *p, uint8_t **ret_bytes, size_t *ret_n)
{
	struct out o = {};
	int r = array_grow(&o.block, FLUSH_BYTES);

	if (r == 0)
		r = encode(&o, p);
	if (r < 0) {
		free(o.block.items);
		return r;
	}
	*ret_bytes = o.block.items;
	*ret_n = o.block.n;
	return 0;
}

int pprof_write_gzip(const struct pprof *p, int fd)
{
	struct out o = {};
	int r = gzip_writer_new(fd, &o.writer);

	if (r < 0)
		return r;
	r = encode(&o, p);
	if (r == 0 && o.block.n)
		gzip_writer_add(o.writer, o.block.items, o.block.n);
	if (r == 0)
		r = gzip_writer_finish(o.writer);
	gzip_writer_free(o.writer);
	free(o.block.items);
	return r;
}
