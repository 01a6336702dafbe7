/* A profile with one of everything, and encoding and decoding it, for unit tests. */
#pragma once

#include "tests/unit/go.h"

#include "proto/pprof.h"

#define LIMIT (64u << 20) /* bytes */

struct bytes {
	uint8_t *data;
	size_t n;
};

static inline struct bytes encode(const struct pprof *p)
{
	struct bytes b;

	assert_int_equal(pprof_encode(p, &b.data, &b.n), 0);
	return b;
}

static inline struct pprof *decode(struct bytes b)
{
	struct pprof *p;

	assert_int_equal(pprof_decode(b.data, b.n, LIMIT, &p), 0);
	return p;
}

static inline struct pprof *reencode(const struct pprof *p)
{
	struct bytes b = encode(p);
	struct pprof *copy = decode(b);

	free(b.data);
	return copy;
}

static inline uint64_t add_location(struct pprof *p, uint64_t mapping, uint64_t address)
{
	struct pprof_location l = {.mapping = mapping, .address = address};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	return id;
}

/* One of everything. */
static inline struct pprof *make_profile(void)
{
	struct pprof *p = pprof_new();
	struct pprof_mapping m = {0x400000, 0x500000, 0x1000, "/usr/bin/thing", "00ff", false};
	struct pprof_line lines[] = {
		{"inner(int)", "_Z5inneri", "/src/a.cc", 10, 12},
		{"outer", "outer", "/src/a.cc", 40, 44},
	};
	struct pprof_label labels[] = {
		{.key = "comm", .str = "thing"},
		{.key = "bytes", .num = 4096, .unit = "bytes"},
	};
	uint64_t mapping, ids[2];
	int64_t values[] = {3, -5};
	struct pprof_sample s = {ids, 2, values, labels, 2};

	assert_non_null(p);
	assert_int_equal(pprof_add_sample_type(p, "samples", "count"), 0);
	assert_int_equal(pprof_add_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_set_period(p, "cpu", "nanoseconds", 10101010), 0);
	assert_int_equal(pprof_set_time(p, 1700000000123456789, 20000000000), 0);
	assert_int_equal(pprof_set_default_type(p, "samples"), 0);
	assert_int_equal(pprof_set_drop_frames(p, "malloc|calloc"), 0);
	assert_int_equal(pprof_add_comment(p, "first comment"), 0);
	assert_int_equal(pprof_add_comment(p, "second comment"), 0);
	assert_int_equal(pprof_add_mapping(p, &m, &mapping), 0);
	ids[0] = add_location(p, mapping, 0x401234);
	ids[1] = add_location(p, mapping, 0x405678);
	assert_int_equal(pprof_set_lines(p, ids[0], lines, 2), 0);
	assert_int_equal(pprof_add_sample(p, &s), 0);
	return p;
}

static inline void check_profile(const struct pprof *p)
{
	const char *type, *unit;
	struct pprof_mapping m;
	struct pprof_location l;
	struct pprof_line line;
	struct pprof_sample s;
	struct pprof_label label;

	assert_int_equal(pprof_n_sample_types(p), 2);
	pprof_sample_type(p, 1, &type, &unit);
	assert_string_equal(type, "cpu");
	assert_string_equal(unit, "nanoseconds");
	assert_int_equal(pprof_period(p), 10101010);
	assert_int_equal(pprof_time_ns(p), 1700000000123456789);
	assert_int_equal(pprof_duration_ns(p), 20000000000);
	assert_string_equal(pprof_default_type(p), "samples");
	assert_string_equal(pprof_drop_frames(p), "malloc|calloc");
	assert_int_equal(pprof_n_comments(p), 2);
	assert_string_equal(pprof_comment(p, 1), "second comment");
	assert_int_equal(pprof_n_mappings(p), 1);
	pprof_mapping(p, 1, &m);
	assert_int_equal(m.start, 0x400000);
	assert_int_equal(m.limit, 0x500000);
	assert_int_equal(m.file_offset, 0x1000);
	assert_string_equal(m.path, "/usr/bin/thing");
	assert_string_equal(m.build_id, "00ff");
	assert_false(m.symbolized);
	assert_int_equal(pprof_n_locations(p), 2);
	pprof_location(p, 1, &l);
	assert_int_equal(l.mapping, 1);
	assert_int_equal(l.address, 0x401234);
	assert_int_equal(l.n_lines, 2);
	pprof_location_line(p, 1, 0, &line);
	assert_string_equal(line.name, "inner(int)");
	assert_string_equal(line.system_name, "_Z5inneri");
	assert_string_equal(line.file, "/src/a.cc");
	assert_int_equal(line.start_line, 10);
	assert_int_equal(line.line, 12);
	pprof_location_line(p, 1, 1, &line);
	assert_string_equal(line.name, "outer");
	pprof_location(p, 2, &l);
	assert_int_equal(l.n_lines, 0);
	assert_int_equal(pprof_n_samples(p), 1);
	pprof_sample(p, 0, &s);
	assert_int_equal(s.n_locations, 2);
	assert_int_equal(s.locations[0], 1);
	assert_int_equal(s.locations[1], 2);
	assert_int_equal(s.values[0], 3);
	assert_int_equal(s.values[1], -5);
	assert_int_equal(s.n_labels, 2);
	pprof_sample_label(p, 0, 0, &label);
	assert_string_equal(label.key, "comm");
	assert_string_equal(label.str, "thing");
	pprof_sample_label(p, 0, 1, &label);
	assert_null(label.str);
	assert_int_equal(label.num, 4096);
	assert_string_equal(label.unit, "bytes");
}
