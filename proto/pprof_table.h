/*
 * What a struct pprof is made of: flat tables that refer to one another by
 * number. For proto/pprof*.c only.
 *
 * Strings are numbers in `strings`. Ids of mappings, functions and locations
 * are positions plus one, 0 means none, and every one in a table is in range.
 * What a record has many of (lines, location ids, values, labels) lies in a
 * run of a shared array, so that a profile is a dozen allocations, whatever its
 * size.
 */
#pragma once

#include "proto/array.h"
#include "proto/hash_index.h"
#include "proto/pprof.h"
#include "proto/string_table.h"

struct pprof_value_type {
	uint32_t type, unit;
};

enum pprof_mapping_flag {
	PPROF_HAS_FUNCTIONS = 1 << 0,
	PPROF_HAS_FILENAMES = 1 << 1,
	PPROF_HAS_LINE_NUMBERS = 1 << 2,
	PPROF_HAS_INLINE_FRAMES = 1 << 3,
	PPROF_HAS_ALL = (1 << 4) - 1,
};

struct pprof_mapping_record {
	uint64_t start, limit, file_offset;
	uint32_t path, build_id;
	uint32_t flags; /* enum pprof_mapping_flag */
};

struct pprof_function_record {
	uint32_t name, system_name, file;
	int64_t start_line;
};

struct pprof_line_record {
	uint32_t function; /* id, never 0 */
	int64_t line, column;
};

struct pprof_location_record {
	uint64_t address;
	uint32_t mapping; /* id */
	uint32_t n_lines;
	size_t first_line; /* in lines */
	bool folded;
};

struct pprof_label_record {
	uint32_t key, str, unit;
	int64_t num; /* only if str is 0 */
};

struct pprof_sample_record {   /* its values: values.items + number * types.n */
	size_t first_location; /* in sample_locations */
	size_t first_label;
	uint32_t n_locations, n_labels;
};

struct pprof {
	struct string_table strings;
	ARRAY_TABLE(struct pprof_value_type) types;
	ARRAY_TABLE(uint32_t) comments;
	ARRAY_TABLE(struct pprof_mapping_record) mappings;
	ARRAY_TABLE(struct pprof_function_record) functions;
	ARRAY_TABLE(struct pprof_location_record) locations;
	ARRAY_TABLE(struct pprof_line_record) lines;
	ARRAY_TABLE(struct pprof_sample_record) samples;
	ARRAY_TABLE(uint64_t) sample_locations; /* ids, leaf first */
	ARRAY_TABLE(int64_t) values;
	ARRAY_TABLE(struct pprof_label_record) labels;

	struct hash_index mapping_index, function_index, location_index;

	bool has_period_type;
	struct pprof_value_type period_type;
	int64_t period, time_ns, duration_ns;
	uint32_t default_type, drop_frames, keep_frames, doc_url;
};

/* Enters record @n under @hash, unless one that equals @key is there. A run of
 * equal entries would make every search through it slow. 0 or -ENOMEM. */
int pprof_table_enter(const struct pprof *p, struct hash_index *index, uint64_t hash,
		      hash_index_equal_t equal, const void *key, size_t n);

/* Take a record as it is; *ret_id is the new id, which for a function may be
 * that of an equal one. Of several equal mappings or locations, lookups by
 * content find the first. 0 or -ENOMEM. */
int pprof_table_mapping(struct pprof *p, const struct pprof_mapping_record *m, uint32_t *ret_id);
int pprof_table_function(struct pprof *p, const struct pprof_function_record *f, uint32_t *ret_id);
int pprof_table_location(struct pprof *p, const struct pprof_location_record *l, uint32_t *ret_id);

/* Opens a sample without labels: *ret_locations and *ret_values are to be filled. */
int pprof_table_sample(struct pprof *p, size_t n_locations, uint64_t **ret_locations,
		       int64_t **ret_values);

/* Adds a label to the newest sample, unless it says nothing or its key is there. */
int pprof_table_label(struct pprof *p, const struct pprof_label_record *label);

/* Fills the empty profile @to. 0, -ENOMEM, or -EBADMSG: something refers to
 * what is not there, or values are missing. */
struct Perftools__Profiles__Profile;
int pprof_convert(const struct Perftools__Profiles__Profile *from, struct pprof *to);
