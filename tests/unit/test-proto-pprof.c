/* proto/pprof: building, encoding, decoding. */
#include "tests/unit/go.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <zlib.h>

#include "profd/base.h"
#include "proto/gzip.h"
#include "proto/pprof.h"
#include "proto/profile.pb-c.h"

#define LIMIT (64u << 20)

struct bytes {
	uint8_t *data;
	size_t n;
};

static struct bytes encode(const struct pprof *p)
{
	struct bytes b;

	assert_int_equal(pprof_encode(p, &b.data, &b.n), 0);
	return b;
}

static struct pprof *decode(struct bytes b)
{
	struct pprof *p;

	assert_int_equal(pprof_decode(b.data, b.n, LIMIT, &p), 0);
	return p;
}

static struct pprof *reencode(const struct pprof *p)
{
	struct bytes b = encode(p);
	struct pprof *copy = decode(b);

	free(b.data);
	return copy;
}

static uint64_t add_location(struct pprof *p, uint64_t mapping, uint64_t address)
{
	struct pprof_location l = {.mapping = mapping, .address = address};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	return id;
}

/* One of everything. */
static struct pprof *make_profile(void)
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

static void check_profile(const struct pprof *p)
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

static void test_everything_survives_a_round(void **state)
{
	struct pprof *p = make_profile(), *copy = reencode(p);

	check_profile(p);
	check_profile(copy);
	pprof_free(copy);
	pprof_free(p);
}

static void test_a_second_round_gives_the_same_bytes(void **state)
{
	struct pprof *p = make_profile(), *copy = reencode(p);
	struct bytes a = encode(p), b = encode(copy);

	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.data, b.data, a.n);
	free(a.data);
	free(b.data);
	pprof_free(copy);
	pprof_free(p);
}

static void test_the_same_thing_has_one_id(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_mapping m = {0x400000, 0x500000, 0x1000, "/usr/bin/thing", "00ff", false};
	uint64_t id;

	assert_int_equal(pprof_add_mapping(p, &m, &id), 0);
	assert_int_equal(id, 1);
	m.build_id = "00fe";
	assert_int_equal(pprof_add_mapping(p, &m, &id), 0);
	assert_int_equal(id, 2);
	assert_int_equal(add_location(p, 1, 0x405678), 2);
	assert_int_equal(add_location(p, 2, 0x405678), 3);
	assert_int_equal(add_location(p, 0, 0x405678), 4);
	pprof_free(p);
}

static void test_a_location_keeps_its_first_lines(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_line line = {.name = "late"};
	struct pprof_location l = {.mapping = 1, .address = 0x401234, .lines = &line, .n_lines = 1};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	assert_int_equal(id, 1);
	pprof_location_line(p, 1, 0, &line);
	assert_string_equal(line.name, "inner(int)");
	line = (struct pprof_line){.name = "late"};
	l.address = 0x405678;
	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	pprof_location_line(p, id, 0, &line);
	assert_string_equal(line.name, "late");
	pprof_free(p);
}

static void test_symbolizing_a_decoded_profile(void **state)
{
	struct pprof *p = make_profile(), *raw = reencode(p), *done;
	struct pprof_line lines[2] = {{.name = "new", .file = "n.c", .line = 1}, {.name = "up"}};
	struct pprof_mapping m;

	assert_int_equal(pprof_set_lines(raw, 2, lines, 2), 0);
	assert_int_equal(pprof_set_lines(raw, 1, lines, 1), 0);
	assert_int_equal(pprof_set_symbolized(raw, 1), 0);
	assert_int_equal(pprof_set_lines(raw, 3, lines, 1), -EINVAL);
	assert_int_equal(pprof_set_lines(raw, 0, lines, 1), -EINVAL);
	assert_int_equal(pprof_set_symbolized(raw, 2), -EINVAL);
	done = reencode(raw);
	pprof_mapping(done, 1, &m);
	assert_true(m.symbolized);
	pprof_location_line(done, 1, 0, &lines[0]);
	assert_string_equal(lines[0].name, "new");
	pprof_location_line(done, 2, 1, &lines[1]);
	assert_string_equal(lines[1].name, "up");
	assert_string_equal(lines[1].file, "");
	pprof_free(done);
	pprof_free(raw);
	pprof_free(p);
}

static void test_wrong_ids_are_refused(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_location l = {.mapping = 2};
	int64_t values[2] = {1, 1};
	uint64_t ids[] = {1, 3}, id;
	struct pprof_sample s = {.locations = ids, .n_locations = 2, .values = values};

	assert_int_equal(pprof_add_location(p, &l, &id), -EINVAL);
	assert_int_equal(pprof_add_sample(p, &s), -EINVAL);
	ids[1] = 0;
	assert_int_equal(pprof_add_sample(p, &s), -EINVAL);
	assert_int_equal(pprof_add_sample_type(p, "late", "count"), -EINVAL);
	check_profile(p);
	pprof_free(p);
}

static void test_bad_utf8_is_replaced(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xf0\x9f\x90\x8c", "\xf0\x9f\x90\x8c"},
		{"\xff"
		 "a",
		 "\xef\xbf\xbd"
		 "a"},
		{"a\xc3", "a\xef\xbf\xbd"},				  /* cut short */
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},		  /* overlong */
		{"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\x9f\xbf", "\xed\x9f\xbf"},
	};
	struct pprof *p = pprof_new();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(pprof_add_comment(p, cases[i][0]), 0);
		assert_string_equal(pprof_comment(p, i), cases[i][1]);
	}
	pprof_free(p);
}

static void test_label_rules(void **state)
{
	struct pprof *p = make_profile();
	struct pprof_label labels[] = {
		{.key = "a", .num = 0, .unit = ""}, /* would vanish */
		{.key = "b", .str = "one"},
		{.key = "b", .str = "two"},
		{.key = "b", .num = 3},
		{.key = "", .str = "no key"},
		{.key = "c", .str = "", .num = 7}, /* an empty string says nothing */
		{.key = "d", .num = 0, .unit = "bytes"},
	};
	int64_t values[2] = {1, 1};
	struct pprof_sample s = {.values = values, .labels = labels, .n_labels = 7};
	struct pprof *copy;
	struct pprof_label label;

	assert_int_equal(pprof_add_sample(p, &s), 0);
	copy = reencode(p);
	pprof_sample(copy, 1, &s);
	assert_int_equal(s.n_locations, 0);
	assert_int_equal(s.n_labels, 2);
	pprof_sample_label(copy, 1, 0, &label);
	assert_string_equal(label.key, "b");
	assert_string_equal(label.str, "one");
	pprof_sample_label(copy, 1, 1, &label);
	assert_string_equal(label.key, "d");
	assert_string_equal(label.unit, "bytes");
	pprof_free(copy);
	pprof_free(p);
}

static void test_finding_a_sample_type(void **state)
{
	struct pprof *p = make_profile(), *empty = pprof_new();
	size_t i;

	assert_int_equal(pprof_find_type(p, "cpu", &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(pprof_find_type(p, "wall", &i), -ENOENT);
	assert_int_equal(pprof_find_type(p, NULL, &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(pprof_set_default_type(p, ""), 0);
	assert_int_equal(pprof_find_type(p, NULL, &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(pprof_find_type(empty, NULL, &i), -ENOENT);
	pprof_free(empty);
	pprof_free(p);
}

/* ---- gzip */

static int new_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct bytes gzip(const void *data, size_t n)
{
	struct gzip_writer *w;
	int fd = new_file();
	struct bytes b;

	assert_int_equal(gzip_writer_new(fd, &w), 0);
	gzip_writer_add(w, data, n);
	assert_int_equal(gzip_writer_finish(w), 0);
	gzip_writer_free(w);
	b.n = (size_t)lseek(fd, 0, SEEK_END);
	b.data = malloc(b.n + 1);
	assert_int_equal(pread(fd, b.data, b.n, 0), b.n);
	close(fd);
	return b;
}

static void test_gzip_file_survives_a_round(void **state)
{
	struct pprof *p = make_profile(), *copy;
	uint8_t magic[2];
	int fd = new_file();

	assert_int_equal(pprof_write_gzip(p, fd), 0);
	assert_int_equal(pread(fd, magic, 2, 0), 2);
	assert_int_equal(magic[0], 0x1f);
	assert_int_equal(magic[1], 0x8b);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, LIMIT, &copy), 0);
	check_profile(copy);
	close(fd);
	pprof_free(copy);
	pprof_free(p);
}

static void test_several_members_are_one_file(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p);
	struct bytes a = gzip(plain.data, 10), b = gzip("", 0),
		     c = gzip(plain.data + 10, plain.n - 10);
	struct bytes all = {malloc(a.n + b.n + c.n), a.n + b.n + c.n};

	memcpy(all.data, a.data, a.n);
	memcpy(all.data + a.n, b.data, b.n);
	memcpy(all.data + a.n + b.n, c.data, c.n);
	copy = decode(all);
	check_profile(copy);
	pprof_free(copy);
	assert_int_equal(pprof_decode(all.data, a.n + b.n, LIMIT, &copy), -EBADMSG);
	free(a.data);
	free(b.data);
	free(c.data);
	free(all.data);
	free(plain.data);
	pprof_free(p);
}

static void test_damaged_gzip_is_refused(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p), b = gzip(plain.data, plain.n);

	for (size_t n = 2; n < b.n; n++)
		assert_int_equal(pprof_decode(b.data, n, LIMIT, &copy), -EBADMSG);
	b.data[b.n] = 'x'; /* gzip() leaves room for it */
	assert_int_equal(pprof_decode(b.data, b.n + 1, LIMIT, &copy), -EBADMSG);
	b.data[b.n - 5] ^= 1; /* the checksum */
	assert_int_equal(pprof_decode(b.data, b.n, LIMIT, &copy), -EBADMSG);
	free(plain.data);
	free(b.data);
	pprof_free(p);
}

static void test_a_bomb_is_refused(void **state)
{
	const size_t n = 32u << 20;
	uint8_t *zeros = calloc(1, n), *out;
	struct bytes bomb = gzip(zeros, n);
	size_t n_out;
	struct pprof *p;

	assert_true(bomb.n < n / 500);
	assert_int_equal(pprof_decode(bomb.data, bomb.n, n - 1, &p), -EFBIG);
	assert_int_equal(gzip_inflate(bomb.data, bomb.n, n - 1, &out, &n_out), -EFBIG);
	assert_int_equal(gzip_inflate(bomb.data, bomb.n, n, &out, &n_out), 0);
	assert_int_equal(n_out, n);
	free(out);
	free(bomb.data);
	free(zeros);
}

static void test_limit_holds_for_plain_bytes_and_files(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p);
	int fd = new_file();

	assert_int_equal(pprof_decode(plain.data, plain.n, plain.n - 1, &copy), -EFBIG);
	assert_int_equal(write(fd, plain.data, plain.n), plain.n);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, plain.n - 1, &copy), -EFBIG);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, plain.n, &copy), 0);
	pprof_free(copy);
	close(fd);
	free(plain.data);
	pprof_free(p);
}

static void test_write_error_is_told(void **state)
{
	struct pprof *p = make_profile();
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(pprof_write_gzip(p, fd), -ENOSPC);
	assert_int_equal(pprof_write_gzip(p, -1), -EBADF);
	close(fd);
	pprof_free(p);
}

/* ---- other writers' files */

/* A well-formed foreign profile, in which each test breaks one thing. */
struct foreign {
	Perftools__Profiles__Profile profile;
	Perftools__Profiles__ValueType type, period, *types[1];
	Perftools__Profiles__Mapping mapping, *mappings[1];
	Perftools__Profiles__Function function, *functions[2], second;
	Perftools__Profiles__Line line, *lines[1];
	Perftools__Profiles__Location location, *locations[1];
	Perftools__Profiles__Label label, *labels[1];
	Perftools__Profiles__Sample sample, *samples[1];
	char *strings[4];
	uint64_t ids[2];
	int64_t values[1], comments[1];
};

static void foreign_init(struct foreign *f)
{
	memset(f, 0, sizeof(*f));
	perftools__profiles__profile__init(&f->profile);
	perftools__profiles__value_type__init(&f->type);
	perftools__profiles__value_type__init(&f->period);
	perftools__profiles__mapping__init(&f->mapping);
	perftools__profiles__function__init(&f->function);
	perftools__profiles__function__init(&f->second);
	perftools__profiles__line__init(&f->line);
	perftools__profiles__location__init(&f->location);
	perftools__profiles__label__init(&f->label);
	perftools__profiles__sample__init(&f->sample);
	memcpy(f->strings, (char *[]){"", "one", "two", "three"}, sizeof(f->strings));
	f->profile.n_string_table = 4;
	f->profile.string_table = f->strings;
#define TABLE(field, array, item)                                                                  \
	do {                                                                                       \
		f->array[0] = &f->item;                                                            \
		f->profile.n_##field = 1;                                                          \
		f->profile.field = f->array;                                                       \
	} while (0)
	TABLE(sample_type, types, type);
	TABLE(mapping, mappings, mapping);
	TABLE(function, functions, function);
	TABLE(location, locations, location);
	TABLE(sample, samples, sample);
#undef TABLE
	f->functions[1] = &f->second;
	f->second.id = 77;
	f->second.name = 3;
	f->profile.n_function = 2;
	f->profile.period_type = &f->period;
	f->profile.keep_frames = 2;
	f->profile.n_comment = 1;
	f->profile.comment = f->comments;
	f->comments[0] = 3;
	f->type.type = 1;
	f->mapping.id = 1000;
	f->mapping.has_filenames = 1;
	f->function.id = UINT64_MAX;
	f->function.name = 2;
	f->line.function_id = UINT64_MAX;
	f->line.column = 9;
	f->lines[0] = &f->line;
	f->location.id = 5;
	f->location.mapping_id = 1000;
	f->location.n_line = 1;
	f->location.line = f->lines;
	f->labels[0] = &f->label;
	f->label.key = 1;
	f->label.str = 2;
	f->ids[0] = f->ids[1] = 5;
	f->sample.n_location_id = 2;
	f->sample.location_id = f->ids;
	f->sample.n_value = 1;
	f->sample.value = f->values;
	f->sample.n_label = 1;
	f->sample.label = f->labels;
}

static int foreign_decode(const struct foreign *f, struct pprof **ret)
{
	size_t n = perftools__profiles__profile__get_packed_size(&f->profile);
	uint8_t *bytes = malloc(n);
	int r;

	perftools__profiles__profile__pack(&f->profile, bytes);
	r = pprof_decode(bytes, n, LIMIT, ret);
	free(bytes);
	return r;
}

static void test_foreign_ids_become_positions(void **state)
{
	struct foreign f;
	struct pprof *p;
	struct pprof_location l;
	struct pprof_line line;
	struct pprof_sample s;

	foreign_init(&f);
	assert_int_equal(foreign_decode(&f, &p), 0);
	pprof_sample(p, 0, &s);
	assert_int_equal(s.n_locations, 2);
	assert_int_equal(s.locations[0], 1);
	pprof_location(p, 1, &l);
	assert_int_equal(l.mapping, 1);
	pprof_location_line(p, 1, 0, &line);
	assert_string_equal(line.name, "two");
	pprof_free(p);
}

static void test_what_profd_does_not_use_survives(void **state)
{
	struct foreign f;
	struct pprof *p;
	struct bytes b;
	Perftools__Profiles__Profile *m;

	foreign_init(&f);
	f.profile.doc_url = 1;
	assert_int_equal(foreign_decode(&f, &p), 0);
	b = encode(p);
	m = perftools__profiles__profile__unpack(NULL, b.n, b.data);
	assert_non_null(m);
	assert_string_equal(m->string_table[m->keep_frames], "two");
	assert_string_equal(m->string_table[m->doc_url], "one");
	assert_non_null(m->period_type);
	assert_int_equal(m->mapping[0]->has_filenames, 1);
	assert_int_equal(m->mapping[0]->has_functions, 0);
	assert_int_equal(m->location[0]->line[0]->column, 9);
	perftools__profiles__profile__free_unpacked(m, NULL);
	free(b.data);
	pprof_free(p);
}

static void test_equal_locations_stay_apart(void **state)
{
	struct foreign f;
	struct pprof *p;
	Perftools__Profiles__Location other, *both[2];

	foreign_init(&f);
	other = f.location;
	other.id = 6;
	both[0] = &f.location;
	both[1] = &other;
	f.profile.n_location = 2;
	f.profile.location = both;
	f.ids[1] = 6;
	assert_int_equal(foreign_decode(&f, &p), 0);
	assert_int_equal(pprof_n_locations(p), 2);
	pprof_free(p);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct foreign f;                                                                  \
		struct pprof *p = NULL;                                                            \
                                                                                                   \
		foreign_init(&f);                                                                  \
		change;                                                                            \
		assert_int_equal(foreign_decode(&f, &p), -EBADMSG);                                \
	} while (0)

static void test_every_index_is_checked(void **state)
{
	REFUSED(f.strings[0] = "x");
	REFUSED(f.profile.n_string_table = 0);
	REFUSED(f.profile.n_string_table = 3);
	REFUSED(f.profile.drop_frames = 4);
	REFUSED(f.profile.keep_frames = -1);
	REFUSED(f.profile.default_sample_type = 4);
	REFUSED(f.profile.doc_url = INT64_MAX);
	REFUSED(f.comments[0] = 4);
	REFUSED(f.type.type = 4);
	REFUSED(f.type.unit = INT64_MIN);
	REFUSED(f.period.unit = 4);
	REFUSED(f.mapping.filename = 4);
	REFUSED(f.mapping.build_id = 4);
	REFUSED(f.function.name = 4);
	REFUSED(f.function.system_name = 4);
	REFUSED(f.function.filename = 4);
	REFUSED(f.label.key = 4);
	REFUSED(f.label.str = -2);
	REFUSED(f.label.num_unit = 1LL << 32);
	REFUSED(f.mapping.id = 0);
	REFUSED(f.function.id = 0);
	REFUSED(f.function.id = 77); /* twice the same */
	REFUSED(f.location.id = 0);
	REFUSED(f.location.mapping_id = 1);
	REFUSED(f.line.function_id = 1);
	REFUSED(f.line.function_id = 0);
	REFUSED(f.ids[1] = 1);
	REFUSED(f.ids[1] = 0);
	REFUSED(f.sample.n_value = 0);
	REFUSED(f.profile.n_sample_type = 0);
}

static void test_garbage_is_refused(void **state)
{
	static const char *const cases[] = {"",
					    "\n",
					    "not a profile at all",
					    "{\"json\": 1}",
					    "\x1f\x8b",
					    "\x0a\xff\xff\xff\xff\x0f"};
	struct pprof *p;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			pprof_decode((const uint8_t *)cases[i], strlen(cases[i]), LIMIT, &p),
			-EBADMSG);
}

/* Two bytes each in the file, and eighty in memory. */
static void test_empty_messages_do_not_eat_the_memory(void **state)
{
	const size_t n = 2u << 20;
	uint8_t *bytes = calloc(1, n);
	struct pprof *p;

	for (size_t i = 0; i < n; i += 2)
		bytes[i] = 0x12; /* sample, length 0 */
	assert_int_equal(pprof_decode(bytes, n, n, &p), -EFBIG);
	free(bytes);
}

/* ---- as Go sees it */

static void write_file(const struct pprof *p, const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pprof_write_gzip(p, fd), 0);
	close(fd);
}

static void test_go_accepts_many_samples(void **state)
{
	struct pprof *p = make_profile();
	uint64_t ids[30];
	int64_t values[2] = {1, 100};
	struct pprof_sample s = {.locations = ids, .n_locations = 30, .values = values};
	char path[] = "/tmp/profd-test-XXXXXX", *json;
	int fd = mkstemp(path);

	close(fd);
	for (uint64_t i = 0; i < 20000; i++) {
		for (uint64_t j = 0; j < 30; j++)
			ids[j] = add_location(p, 1, 0x400000 + (i * 7919 + j * j * 31) % 50000);
		assert_int_equal(pprof_add_sample(p, &s), 0);
	}
	write_file(p, path);
	json = go_check(path);
	assert_non_null(strstr(json, "\"samples\":20001"));
	assert_non_null(
		strstr(json, "\"type\":\"cpu\",\"unit\":\"nanoseconds\",\"total\":1999995"));
	assert_non_null(strstr(json, "\"comments\":[\"first comment\",\"second comment\"]"));
	unlink(path);
	free(json);
	pprof_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_survives_a_round),
		cmocka_unit_test(test_a_second_round_gives_the_same_bytes),
		cmocka_unit_test(test_the_same_thing_has_one_id),
		cmocka_unit_test(test_a_location_keeps_its_first_lines),
		cmocka_unit_test(test_symbolizing_a_decoded_profile),
		cmocka_unit_test(test_wrong_ids_are_refused),
		cmocka_unit_test(test_bad_utf8_is_replaced),
		cmocka_unit_test(test_label_rules),
		cmocka_unit_test(test_finding_a_sample_type),
		cmocka_unit_test(test_gzip_file_survives_a_round),
		cmocka_unit_test(test_several_members_are_one_file),
		cmocka_unit_test(test_damaged_gzip_is_refused),
		cmocka_unit_test(test_a_bomb_is_refused),
		cmocka_unit_test(test_limit_holds_for_plain_bytes_and_files),
		cmocka_unit_test(test_write_error_is_told),
		cmocka_unit_test(test_foreign_ids_become_positions),
		cmocka_unit_test(test_what_profd_does_not_use_survives),
		cmocka_unit_test(test_equal_locations_stay_apart),
		cmocka_unit_test(test_every_index_is_checked),
		cmocka_unit_test(test_garbage_is_refused),
		cmocka_unit_test(test_empty_messages_do_not_eat_the_memory),
		cmocka_unit_test(test_go_accepts_many_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
