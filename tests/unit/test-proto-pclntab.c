/*
 * Go's table of functions, made here in memory: two functions of 32 bytes, main.a from
 * 0x1000 on and main.b behind it, in the formats of Go 1.16, 1.18 and 1.20, and what is
 * wrong in turn with each part of it.
 */
#include "proto/pclntab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "daemon/scribe/go_names.h"
#include "profd/base.h"

#define ENTRY	     0x1000
#define ENTRY_BYTES  32
#define MAX_PROGRAM  4096
#define STACK	     1 /* where the programs are among them */
#define LINES	     8
#define FILES	     16
#define OUT_OF_RANGE 24
#define WITHOUT_END  32

static const struct format {
	uint32_t magic;
	unsigned entry_bytes, record_bytes;
} formats[] = {{0xfffffffa, 8, 44}, {0xfffffff0, 4, 40}, {0xfffffff1, 4, 44}};

struct table {
	uint8_t bytes[1024];
	uint64_t n, functions;
	unsigned reads, bad; /* bad: the read whose first half is something else */
};

static const char names[] = "\0main.a\0main.b";
static const char files[] = "/src/a.go\0/src/b.go";
static const uint32_t packages[] = {UINT32_MAX, 0, 10};
/* The depth: 0 for 4 bytes, 24 for 24, 0 for 4. Lines 7 (16 bytes), 9 (16 bytes). Files: the
 * second of the package for all. A number of 33 bits. Nothing but more to come. */
static const uint8_t programs[] = {
	0,  2, 4, 48, 24, 47, 4, 0,    16,   16,   4,	 16,   0, 0, 0, 0, 4,
	32, 0, 0, 0,  0,  0,  0, 0x82, 0x80, 0x80, 0x80, 0x10, 1, 0, 0, 2,
};

static uint64_t put(struct table *t, const void *bytes, size_t n)
{
	uint64_t at = t->n;

	assert_true(t->n + n <= sizeof(t->bytes));
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
	return at;
}

static void put_number(struct table *t, uint64_t value, unsigned bytes)
{
	put(t, &value, bytes);
}

static void put_record(struct table *t, const struct format *format, unsigned i)
{
	uint64_t start = t->n;

	put_number(t, (format->entry_bytes == 8 ? ENTRY : 0) + i * ENTRY_BYTES,
		   format->entry_bytes);
	put_number(t, 1 + i * 7, 4);
	put_number(t, 0, 8);
	put_number(t, STACK, 4);
	put_number(t, FILES, 4);
	put_number(t, LINES, 4);
	put_number(t, 0, 4);
	put_number(t, i, 4); /* main.a's files begin with none, main.b's with /src/a.go */
	if (format->magic == formats[2].magic)
		put_number(t, 5 + i, 4);
	put_number(t, 0, 1);
	put_number(t, PCLNTAB_SETS_SP, 1);
	t->n = start + format->record_bytes;
}

static void put_functions(struct table *t, const struct format *format)
{
	uint64_t index = format->entry_bytes * 5, base = format->entry_bytes == 8 ? ENTRY : 0;

	t->functions = t->n;
	for (unsigned i = 0; i < 3; i++) {
		put_number(t, base + i * ENTRY_BYTES, format->entry_bytes);
		if (i < 2)
			put_number(t, index + i * format->record_bytes, format->entry_bytes);
	}
	for (unsigned i = 0; i < 2; i++)
		put_record(t, format, i);
}

static struct table make_table(const struct format *format)
{
	const uint8_t head[] = {0, 0, 1, 8};
	unsigned late = format->entry_bytes == 4;
	uint64_t words[8] = {2, 2};
	struct table t = {.bad = UINT32_MAX};

	put(&t, &format->magic, sizeof(format->magic));
	put(&t, head, sizeof(head));
	put(&t, words, sizeof(words));
	if (late)
		words[2] = ENTRY;
	words[2 + late] = put(&t, names, sizeof(names));
	words[3 + late] = put(&t, packages, sizeof(packages));
	words[4 + late] = put(&t, files, sizeof(files));
	words[5 + late] = put(&t, programs, sizeof(programs));
	put_functions(&t, format);
	words[6 + late] = t.functions;
	memcpy(t.bytes + 8, words, sizeof(words));
	return t;
}

static int read_table(const void *from, uint64_t offset, void *ret, size_t bytes)
{
	struct table *t = (struct table *)from;

	assert_true(offset <= t->n && bytes <= t->n - offset);
	memcpy(ret, t->bytes + offset, bytes);
	if (t->reads++ == t->bad)
		memset(ret, 0x7f, bytes / 2);
	return 0;
}

static int open_table(struct table *t, struct pclntab *ret)
{
	const struct pclntab_source source = {.read = read_table, .from = t, .bytes = t->n};

	return pclntab_open(&source, ret);
}

static void set_word(struct table *t, unsigned i, uint64_t value)
{
	memcpy(t->bytes + 8 + i * sizeof(value), &value, sizeof(value));
}

static void finds_functions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct table t = make_table(&formats[i]);
		struct pclntab_function f;
		struct pclntab p;

		assert_int_equal(open_table(&t, &p), 0);
		assert_int_equal(pclntab_find(&p, 0x101f, &f), 0);
		assert_int_equal(f.entry, 0x1000);
		assert_int_equal(f.end, 0x1020);
		assert_int_equal(pclntab_find(&p, 0x1020, &f), 0);
		assert_int_equal(f.entry, 0x1020);
		assert_int_equal(f.end, 0x1040);
		assert_int_equal(f.name, 8);
		assert_int_equal(f.flags, PCLNTAB_SETS_SP);
		assert_int_equal(f.start_line, i == 2 ? 6 : 0);
		assert_int_equal(pclntab_find(&p, 0x0fff, &f), -ENOENT);
		assert_int_equal(pclntab_find(&p, 0x1040, &f), -ENOENT);
	}
}

static void follows_programs(void **state)
{
	struct table t = make_table(&formats[2]);
	struct pclntab_stretch s;
	struct pclntab_function f;
	struct pclntab p;

	assert_int_equal(open_table(&t, &p), 0);
	assert_int_equal(pclntab_find(&p, 0x1004, &f), 0);
	assert_int_equal(pclntab_follow(&p, &f, STACK, 0x1004, MAX_PROGRAM, &s), 0);
	assert_int_equal(s.value, 24);
	assert_int_equal(s.start, 0x1004);
	assert_int_equal(s.end, 0x101c);
	assert_int_equal(pclntab_follow(&p, &f, LINES, 0x101f, MAX_PROGRAM, &s), 0);
	assert_int_equal(s.value, 9);
	/* More than was to be looked at. */
	assert_int_equal(pclntab_follow(&p, &f, STACK, 0x1004, 4, &s), 0);
	assert_int_equal(pclntab_follow(&p, &f, STACK, 0x1004, 3, &s), -EBADMSG);
	/* None. */
	assert_int_equal(pclntab_follow(&p, &f, 0, 0x1004, MAX_PROGRAM, &s), -EBADMSG);
	/* An address of another function. */
	assert_int_equal(pclntab_follow(&p, &f, STACK, 0x1024, MAX_PROGRAM, &s), -EBADMSG);
	assert_int_equal(pclntab_follow(&p, &f, OUT_OF_RANGE, 0x1000, MAX_PROGRAM, &s), -EBADMSG);
	assert_int_equal(pclntab_follow(&p, &f, UINT32_MAX, 0x1000, MAX_PROGRAM, &s), -EBADMSG);
	/* It goes on into what is no program of its own, and comes to an end there. */
	assert_int_equal(pclntab_follow(&p, &f, WITHOUT_END, 0x1000, MAX_PROGRAM, &s), -EBADMSG);
}

static void instructions_may_be_longer(void **state)
{
	struct table t = make_table(&formats[2]);
	struct pclntab_stretch s;
	struct pclntab_function f;
	struct pclntab p;

	t.bytes[6] = 4;
	assert_int_equal(open_table(&t, &p), 0);
	assert_int_equal(pclntab_find(&p, 0x1000, &f), 0);
	assert_int_equal(pclntab_follow(&p, &f, STACK, 0x100f, MAX_PROGRAM, &s), 0);
	assert_int_equal(s.value, 0);
	assert_int_equal(s.end, 0x1010);
}

static void refuses_a_bad_header(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct table good = make_table(&formats[i]);
		unsigned late = formats[i].entry_bytes == 4;
		struct table t = good;
		struct pclntab p;

		t.bytes[0] ^= 4;
		assert_int_equal(open_table(&t, &p), -ENOTSUP);
		t = good, t.bytes[6] = 3;
		assert_int_equal(open_table(&t, &p), -ENOTSUP);
		t = good, t.bytes[7] = 4;
		assert_int_equal(open_table(&t, &p), -ENOTSUP);
		t = good, set_word(&t, 0, 0);
		assert_int_equal(open_table(&t, &p), -EBADMSG);
		t = good, set_word(&t, 0, (1u << 24) + 1);
		assert_int_equal(open_table(&t, &p), -EBADMSG);
		for (unsigned part = 2 + late; part <= 6 + late; part++) {
			t = good, set_word(&t, part, t.n + 1);
			assert_int_equal(open_table(&t, &p), -EBADMSG);
		}
		t = good, t.n = 71;
		assert_int_equal(open_table(&t, &p), -EBADMSG);
		/* Filled in by the loader. */
		t = good, set_word(&t, 2, 0);
		assert_int_equal(open_table(&t, &p), late ? -ENOTSUP : 0);
	}
}

/* The file is another's, and may say one thing and then another. */
static void what_changes_meanwhile_is_no_function(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct table t = make_table(&formats[i]);
		struct pclntab_function f;
		unsigned reads, found = 0;
		struct pclntab p;

		assert_int_equal(open_table(&t, &p), 0);
		t.reads = 0;
		assert_int_equal(pclntab_find(&p, 0x1021, &f), 0);
		reads = t.reads;
		for (unsigned n = 0; n < reads; n++) {
			int r;

			t.reads = 0;
			t.bad = n;
			r = pclntab_find(&p, 0x1021, &f);
			assert_true(r == 0 || r == -ENOENT || r == -EBADMSG);
			found += r == 0;
			assert_true(r < 0 || (f.entry <= 0x1021 && 0x1021 < f.end));
		}
		assert_true(found < reads);
	}
}

static void names_come_with_files_and_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct table t = make_table(&formats[i]);
		struct symbol a = {}, b = {};
		struct go_names *go;

		assert_int_equal(go_names_new_table(t.bytes, t.n, &go), 0);
		assert_int_equal(go_names_find(go, 0x1010, &a), 0);
		assert_int_equal(a.n, 1);
		assert_string_equal(a.lines[0].name, "main.a");
		assert_string_equal(a.lines[0].file, "/src/a.go");
		assert_int_equal(a.lines[0].line, 9);
		assert_int_equal(a.lines[0].start_line, i == 2 ? 5 : 0);
		assert_int_equal(go_names_find(go, 0x102f, &b), 0);
		assert_string_equal(b.lines[0].name, "main.b");
		assert_string_equal(b.lines[0].file, "/src/b.go");
		assert_int_equal(b.lines[0].line, 7);
		assert_int_equal(go_names_find(go, 0x1040, &b), -ENOENT);
		symbol_done(&a);
		symbol_done(&b);
		go_names_free(go);
	}
}

/* Whatever is cut off: what is found has all its strings within what is left. */
static void any_table_cut_short_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct table t = make_table(&formats[i]);

		for (size_t n = 0; n < t.n; n++) {
			uint8_t *part = test_malloc(n + 1);
			struct symbol symbol = {};
			struct go_names *go;

			memcpy(part, t.bytes, n);
			if (go_names_new_table(part, n, &go) == 0) {
				go_names_find(go, 0x1030, &symbol);
				symbol_done(&symbol);
				go_names_free(go);
			}
			test_free(part);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_functions),
		cmocka_unit_test(follows_programs),
		cmocka_unit_test(instructions_may_be_longer),
		cmocka_unit_test(refuses_a_bad_header),
		cmocka_unit_test(what_changes_meanwhile_is_no_function),
		cmocka_unit_test(names_come_with_files_and_lines),
		cmocka_unit_test(any_table_cut_short_is_refused),
	};

	return cmocka_run_group_tests_name("proto-pclntab", tests, NULL, NULL);
}
