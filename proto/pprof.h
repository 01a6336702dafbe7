/*
 * pprof profiles: build, read, symbolize, encode, decode. The format is
 * profile.proto; the rules that readers insist on are enforced here, so that
 * no caller can write a profile that a reader refuses: string 0 is "", ids run
 * 1..N in table order, strings are valid UTF-8 (a byte that is not becomes
 * U+FFFD), every sample has one value per sample type, one value a label key
 * (the first), and no label without a key or a value.
 *
 * A struct pprof owns all it holds. Strings passed in are copied and interned;
 * NULL counts as "".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pprof; /* opaque; pprof_*() below read and write it */

struct pprof_mapping {
	uint64_t start, limit, file_offset;
	const char *path;     /* file name as in maps, without " (deleted)" */
	const char *build_id; /* lower-case hex, or "" */
	bool symbolized;      /* has_functions, _filenames, _line_numbers, _inline_frames */
};

struct pprof_line { /* innermost inline first */
	const char *name, *system_name, *file;
	int64_t start_line, line;
};

struct pprof_location {
	uint64_t mapping; /* id, 0: none */
	uint64_t address;
	const struct pprof_line *lines; /* NULL: not symbolized */
	size_t n_lines;
};

struct pprof_label {
	const char *key;
	const char *str; /* string label; NULL: numeric */
	int64_t num;
	const char *unit;
};

struct pprof_sample {
	const uint64_t *locations; /* ids, leaf first */
	size_t n_locations;
	const int64_t *values;
	const struct pprof_label *labels;
	size_t n_labels;
};

struct pprof *pprof_new(void);
void pprof_free(struct pprof *p);

/* Building. All return 0, -ENOMEM, or -EINVAL (an id that is not there; a
 * sample type after the first sample), and the id through the last argument.
 * The same mapping, and the same (mapping, address), yield the same id; a
 * location keeps the first lines that it was given. */
int pprof_add_sample_type(struct pprof *p, const char *type, const char *unit);
int pprof_set_period(struct pprof *p, const char *type, const char *unit, int64_t period);
int pprof_set_time(struct pprof *p, int64_t unix_ns, int64_t duration_ns);
int pprof_set_default_type(struct pprof *p, const char *type);
int pprof_set_drop_frames(struct pprof *p, const char *regex);
int pprof_add_comment(struct pprof *p, const char *text);
int pprof_set_comment(struct pprof *p, size_t i, const char *text); /* in place of it */
int pprof_add_mapping(struct pprof *p, const struct pprof_mapping *m, uint64_t *ret_id);
int pprof_add_location(struct pprof *p, const struct pprof_location *l, uint64_t *ret_id);
int pprof_add_sample(struct pprof *p, const struct pprof_sample *s);

/* Reading. Pointers to strings live as long as the profile, others until it
 * changes. Ids and indexes must be in range. A label of no string has a NULL
 * `str`. */
size_t pprof_n_sample_types(const struct pprof *p);
void pprof_sample_type(const struct pprof *p, size_t i, const char **ret_type,
		       const char **ret_unit);
const char *pprof_default_type(const struct pprof *p); /* "" when unset */
const char *pprof_drop_frames(const struct pprof *p);  /* "" when unset */
/* Index of the sample type called @name; of the one shown by default if NULL.
 * Returns 0 or -ENOENT. */
int pprof_find_type(const struct pprof *p, const char *name, size_t *ret_i);
int64_t pprof_time_ns(const struct pprof *p);
int64_t pprof_duration_ns(const struct pprof *p);
int64_t pprof_period(const struct pprof *p);
/* What the period counts; "" and "" if the profile does not say. */
void pprof_period_type(const struct pprof *p, const char **ret_type, const char **ret_unit);
/* The same sample types in the same order, and the same period type: such may be
 * merged and subtracted. */
bool pprof_same_kind(const struct pprof *a, const struct pprof *b);
size_t pprof_n_comments(const struct pprof *p);
const char *pprof_comment(const struct pprof *p, size_t i);
size_t pprof_n_mappings(const struct pprof *p); /* ids are 1..n */
void pprof_mapping(const struct pprof *p, uint64_t id, struct pprof_mapping *ret_m);
size_t pprof_n_locations(const struct pprof *p);
/* `lines` is NULL: n_lines of them through pprof_location_line(). */
void pprof_location(const struct pprof *p, uint64_t id, struct pprof_location *ret_l);
void pprof_location_line(const struct pprof *p, uint64_t id, size_t i, struct pprof_line *ret_line);
size_t pprof_n_samples(const struct pprof *p);
/* `labels` is NULL: n_labels of them through pprof_sample_label(). */
void pprof_sample(const struct pprof *p, size_t i, struct pprof_sample *ret_s);
void pprof_sample_label(const struct pprof *p, size_t i, size_t label,
			struct pprof_label *ret_label);

/* Symbolizing: gives location @id its lines (copied, in place of any it had),
 * and marks mappings as needing no more. Return as building does. */
int pprof_set_lines(struct pprof *p, uint64_t id, const struct pprof_line *lines, size_t n_lines);
int pprof_set_symbolized(struct pprof *p, uint64_t mapping_id);

/* The same for who sets lines of few functions often: the function of @line (its
 * own line does not matter) once, and then its id. */
struct pprof_line_function {
	uint32_t function; /* id */
	int64_t line;
};
int pprof_add_function(struct pprof *p, const struct pprof_line *line, uint32_t *ret_id);
int pprof_set_line_functions(struct pprof *p, uint64_t id, const struct pprof_line_function *lines,
			     size_t n_lines);

/* Encoding. pprof_encode: plain protobuf bytes, malloc'd. pprof_write_gzip:
 * gzip'd onto a descriptor, never held in memory whole. Return 0 or -errno. */
int pprof_encode(const struct pprof *p, uint8_t **ret_bytes, size_t *ret_n);
int pprof_write_gzip(const struct pprof *p, int fd);

/* Decoding, gzip'd (of any number of members) or plain; every index checked,
 * ids renumbered. Times, period, comments and frame filters survive a decode
 * and encode. pprof_read reads from the descriptor's position to its end.
 * -EBADMSG: not a pprof profile; -EFBIG: more than @limit_bytes before or after
 * inflating, or out of all proportion to that in memory. */
int pprof_decode(const uint8_t *bytes, size_t n, size_t limit_bytes, struct pprof **ret_p);
int pprof_read(int fd, size_t limit_bytes, struct pprof **ret_p);
