/*
 * Encoding: protobuf-c's structures are laid out over the flat tables, one
 * block of memory for each kind of message, and packed in one pass. Location
 * ids, values and strings are not copied: the messages point at ours.
 *
 * A gzip'd profile is packed straight into the compressor.
 */
#include "proto/pprof.h"

#include <errno.h>

#include "profd/base.h"
#include "proto/gzip.h"
#include "proto/pprof_table.h"
#include "proto/profile.pb-c.h"

struct encoding {
	Perftools__Profiles__Profile profile;
	Perftools__Profiles__ValueType period_type;
	void *types, *samples, *labels, *mappings, *locations, *lines, *functions, *comments;
};

static void encoding_done(struct encoding *e)
{
	free(e->types);
	free(e->samples);
	free(e->labels);
	free(e->mappings);
	free(e->locations);
	free(e->lines);
	free(e->functions);
	free(e->comments);
}

/* One block: @n pointers, and behind them the @n items that they point to. */
static void *new_block(size_t n, size_t item_bytes)
{
	char *block, *items;
	void **pointers;

	block = reallocarray(NULL, max(n, (size_t)1), sizeof(void *) + item_bytes);
	if (!block)
		return NULL;
	pointers = (void **)block;
	items = block + n * sizeof(void *);
	for (size_t i = 0; i < n; i++)
		pointers[i] = items + i * item_bytes;
	return block;
}

static int make_types(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__ValueType **out = e->types = new_block(p->types.n, sizeof(**out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->types.n; i++) {
		perftools__profiles__value_type__init(out[i]);
		out[i]->type = p->types.items[i].type;
		out[i]->unit = p->types.items[i].unit;
	}
	e->profile.n_sample_type = p->types.n;
	e->profile.sample_type = out;
	return 0;
}

static int make_labels(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Label **out = e->labels = new_block(p->labels.n, sizeof(**out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->labels.n; i++) {
		const struct pprof_label_record *l = &p->labels.items[i];

		perftools__profiles__label__init(out[i]);
		out[i]->key = l->key;
		out[i]->str = l->str;
		out[i]->num = l->num;
		out[i]->num_unit = l->unit;
	}
	return 0;
}

static int make_samples(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Sample **out = e->samples = new_block(p->samples.n, sizeof(**out));
	Perftools__Profiles__Label **labels = e->labels;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct pprof_sample_record *s = &p->samples.items[i];

		perftools__profiles__sample__init(out[i]);
		out[i]->n_location_id = s->n_locations;
		out[i]->location_id = p->sample_locations.items + s->first_location;
		out[i]->n_value = p->types.n;
		out[i]->value = p->values.items + i * p->types.n;
		out[i]->n_label = s->n_labels;
		out[i]->label = labels + s->first_label;
	}
	e->profile.n_sample = p->samples.n;
	e->profile.sample = out;
	return 0;
}

static int make_mappings(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Mapping **out = e->mappings = new_block(p->mappings.n, sizeof(**out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct pprof_mapping_record *m = &p->mappings.items[i];

		perftools__profiles__mapping__init(out[i]);
		out[i]->id = i + 1;
		out[i]->memory_start = m->start;
		out[i]->memory_limit = m->limit;
		out[i]->file_offset = m->file_offset;
		out[i]->filename = m->path;
		out[i]->build_id = m->build_id;
		out[i]->has_functions = !!(m->flags & PPROF_HAS_FUNCTIONS);
		out[i]->has_filenames = !!(m->flags & PPROF_HAS_FILENAMES);
		out[i]->has_line_numbers = !!(m->flags & PPROF_HAS_LINE_NUMBERS);
		out[i]->has_inline_frames = !!(m->flags & PPROF_HAS_INLINE_FRAMES);
	}
	e->profile.n_mapping = p->mappings.n;
	e->profile.mapping = out;
	return 0;
}

static int make_lines(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Line **out = e->lines = new_block(p->lines.n, sizeof(**out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->lines.n; i++) {
		perftools__profiles__line__init(out[i]);
		out[i]->function_id = p->lines.items[i].function;
		out[i]->line = p->lines.items[i].line;
		out[i]->column = p->lines.items[i].column;
	}
	return 0;
}

static int make_locations(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Location **out;
	Perftools__Profiles__Line **lines = e->lines;

	out = e->locations = new_block(p->locations.n, sizeof(**out));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->locations.n; i++) {
		const struct pprof_location_record *l = &p->locations.items[i];

		perftools__profiles__location__init(out[i]);
		out[i]->id = i + 1;
		out[i]->mapping_id = l->mapping;
		out[i]->address = l->address;
		out[i]->n_line = l->n_lines;
		out[i]->line = lines + l->first_line;
		out[i]->is_folded = l->folded;
	}
	e->profile.n_location = p->locations.n;
	e->profile.location = out;
	return 0;
}

static int make_functions(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Function **out;

	out = e->functions = new_block(p->functions.n, sizeof(**out));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct pprof_function_record *f = &p->functions.items[i];

		perftools__profiles__function__init(out[i]);
		out[i]->id = i + 1;
		out[i]->name = f->name;
		out[i]->system_name = f->system_name;
		out[i]->filename = f->file;
		out[i]->start_line = f->start_line;
	}
	e->profile.n_function = p->functions.n;
	e->profile.function = out;
	return 0;
}

static int make_header(struct encoding *e, const struct pprof *p)
{
	Perftools__Profiles__Profile *out = &e->profile;

	out->comment = e->comments =
		reallocarray(NULL, max(p->comments.n, (size_t)1), sizeof(*out->comment));
	if (!out->comment)
		return -ENOMEM;
	for (size_t i = 0; i < p->comments.n; i++)
		out->comment[i] = p->comments.items[i];
	out->n_comment = p->comments.n;
	out->n_string_table = p->strings.strings.n;
	out->string_table = p->strings.strings.items;
	out->drop_frames = p->drop_frames;
	out->keep_frames = p->keep_frames;
	out->doc_url = p->doc_url;
	out->time_nanos = p->time_ns;
	out->duration_nanos = p->duration_ns;
	out->period = p->period;
	out->default_sample_type = p->default_type;
	if (p->has_period_type) {
		perftools__profiles__value_type__init(&e->period_type);
		e->period_type.type = p->period_type.type;
		e->period_type.unit = p->period_type.unit;
		out->period_type = &e->period_type;
	}
	return 0;
}

/* @e is to be zeroed; encoding_done() whatever comes of it. Messages hold
 * pointers into @e: it must not move. */
static int encoding_make(struct encoding *e, const struct pprof *p)
{
	perftools__profiles__profile__init(&e->profile);
	if (make_header(e, p) < 0 || make_types(e, p) < 0 || make_labels(e, p) < 0 ||
	    make_samples(e, p) < 0 || make_mappings(e, p) < 0 || make_lines(e, p) < 0 ||
	    make_locations(e, p) < 0 || make_functions(e, p) < 0)
		return -ENOMEM;
	return 0;
}

int pprof_encode(const struct pprof *p, uint8_t **ret_bytes, size_t *ret_n)
{
	_cleanup_(encoding_done) struct encoding e = {0};
	uint8_t *bytes;
	size_t n;

	if (encoding_make(&e, p) < 0)
		return -ENOMEM;
	n = perftools__profiles__profile__get_packed_size(&e.profile);
	bytes = malloc(max(n, (size_t)1));
	if (!bytes)
		return -ENOMEM;
	perftools__profiles__profile__pack(&e.profile, bytes);
	*ret_bytes = bytes;
	*ret_n = n;
	return 0;
}

struct sink {
	ProtobufCBuffer base; /* first: protobuf-c hands this back */
	struct gzip_writer *writer;
};

static void sink_append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes)
{
	gzip_writer_add(((struct sink *)buffer)->writer, bytes, n);
}

int pprof_write_gzip(const struct pprof *p, int fd)
{
	_cleanup_(encoding_done) struct encoding e = {0};
	struct sink sink = {.base.append = sink_append};
	int r;

	if (encoding_make(&e, p) < 0)
		return -ENOMEM;
	r = gzip_writer_new(fd, &sink.writer);
	if (r < 0)
		return r;
	perftools__profiles__profile__pack_to_buffer(&e.profile, &sink.base);
	r = gzip_writer_finish(sink.writer);
	gzip_writer_free(sink.writer);
	return r;
}
