/*
 * The scribe's parts: the kernel's symbols, demangling within bounds, ranges,
 * the cache of answers, which file a module is, and which are not read any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/cache.h"
#include "daemon/scribe/demangle.h"
#include "daemon/scribe/file_key.h"
#include "daemon/scribe/kallsyms.h"
#include "daemon/scribe/quarantine.h"
#include "daemon/scribe/range.h"

static int memory_file(const void *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static void test_kernel_symbols(void **state)
{
	static const char text[] = "0000000000000000 A fixed_percpu_data\n"
				   "ffffffff81000000 T _stext\n"
				   "ffffffff81000000 t startup_64\n"
				   "ffffffff81002000 T schedule\n"
				   "ffffffff81001000 t local_one\n"
				   "ffffffff82000000 D some_data\n"
				   "ffffffffc0001000 t ext4_read\t[ext4]\n";
	_cleanup_close_ int fd = memory_file(text, strlen(text));
	struct kallsyms *kallsyms;
	struct symbol symbol = {};

	assert_int_equal(kallsyms_new(fd, &kallsyms), 0);
	assert_int_equal(kallsyms_count(kallsyms), 6);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81001fff, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "local_one");
	assert_string_equal(symbol.lines[0].file, "[kernel]");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81002000, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "schedule");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff81000004, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "_stext");
	symbol_done(&symbol);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffffc0001010, &symbol), 0);
	assert_string_equal(symbol.lines[0].name, "ext4_read");
	assert_string_equal(symbol.lines[0].file, "[ext4]");
	symbol_done(&symbol);
	/* Before the first, in data, far behind the last. */
	assert_int_equal(kallsyms_find(kallsyms, 0x1000, &symbol), -ENOENT);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffff82000001, &symbol), -ENOENT);
	assert_int_equal(kallsyms_find(kallsyms, 0xffffffffd0000000, &symbol), -ENOENT);
	kallsyms_free(kallsyms);
}

static void test_kernel_symbols_malformed(void **state)
{
	static const char *const bad[] = {"x\n", "12\n", "12 T\n", "12 T \n", "12 T", "12  name\n"};
	static const char hidden[] = "0000000000000000 T _stext\n0000000000000000 T _etext\n";
	struct kallsyms *kallsyms;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_close_ int fd = memory_file(bad[i], strlen(bad[i]));

		assert_int_equal(kallsyms_new(fd, &kallsyms), -EBADMSG);
	}
	{
		_cleanup_close_ int fd = memory_file(hidden, strlen(hidden));

		assert_int_equal(kallsyms_new(fd, &kallsyms), 0);
		assert_int_equal(kallsyms_count(kallsyms), 0);
		kallsyms_free(kallsyms);
	}
}

static void check_demangled(const char *mangled, const char *expected)
{
	_cleanup_free_ char *name = demangle_name(mangled);

	if (!expected) {
		assert_null(name);
		return;
	}
	assert_non_null(name);
	assert_string_equal(name, expected);
}

static void test_demangles(void **state)
{
	check_demangled("_ZN6shapes9outermostEj", "shapes::outermost(unsigned int)");
	check_demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
			"core::fmt::Write::write_fmt");
	check_demangled("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	check_demangled("malloc", NULL);
	check_demangled("_start", NULL);
	check_demangled("_Z", NULL);
	check_demangled("", NULL);
}

/* f(a<int,int>, a<A,A>, a<B,B>, ...), each parameter made of the one before it
 * twice: 30 of them would be gigabytes. */
static void test_demangling_is_bounded(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	_cleanup_free_ char *name = NULL, *many = NULL;
	char mangled[1024];
	size_t n;

	n = (size_t)sprintf(mangled, "_Z1f1aIiiE");
	for (unsigned i = 0; i < 30; i++)
		n += (size_t)sprintf(mangled + n, "S_IS%c_S%c_E", digits[i], digits[i]);
	name = demangle_name(mangled);
	assert_non_null(name);
	assert_int_equal(strlen(name), DEMANGLE_MAX_OUTPUT);
	assert_memory_equal(name, "f(a<int, int>, a<a<int, int>, a<int, int> >", 43);

	many = malloc(DEMANGLE_MAX_INPUT + 2);
	assert_non_null(many);
	memset(many, '_', DEMANGLE_MAX_INPUT + 1);
	many[DEMANGLE_MAX_INPUT + 1] = '\0';
	assert_null(demangle_name(many));
}

static void test_ranges_prefer_the_innermost(void **state)
{
	struct range_table table = {};

	assert_null(range_table_find(&table, 5));
	assert_int_equal(range_table_add(&table, 100, 200, 1), 0);
	assert_int_equal(range_table_add(&table, 120, 140, 2), 0);
	assert_int_equal(range_table_add(&table, 130, 135, 3), 0);
	assert_int_equal(range_table_add(&table, 300, 400, 4), 0);
	range_table_sort(&table);
	assert_int_equal(range_table_find(&table, 100)->value, 1);
	assert_int_equal(range_table_find(&table, 134)->value, 3);
	assert_int_equal(range_table_find(&table, 135)->value, 2);
	assert_int_equal(range_table_find(&table, 199)->value, 1);
	assert_null(range_table_find(&table, 200));
	assert_null(range_table_find(&table, 99));
	assert_int_equal(range_table_find(&table, 399)->value, 4);
	range_table_done(&table);
}

/* ---- the cache of answers */

static const struct pprof_line answer_lines[] = {
	{.name = "g", .system_name = "_Z1gv", .file = "g.h", .start_line = 2, .line = 3},
	{.name = "f", .system_name = "_Z1fv", .file = "f.cc", .line = 7},
};

/* A profile with locations 1..@n, to be given lines. */
static struct pprof *make_profile(unsigned n)
{
	struct pprof *p = pprof_new();
	uint64_t id;

	for (unsigned i = 0; i < n; i++) {
		struct pprof_location l = {.address = i + 1};

		assert_int_equal(pprof_add_location(p, &l, &id), 0);
	}
	return p;
}

static uint32_t number_of(struct cache *cache, const char *key)
{
	uint32_t file;

	assert_int_equal(cache_file(cache, key, strlen(key), &file), 0);
	assert_int_not_equal(file, 0);
	return file;
}

static void check_lines(const struct pprof *p, uint64_t id)
{
	struct pprof_location l;
	struct pprof_line line;

	pprof_location(p, id, &l);
	assert_int_equal(l.n_lines, 2);
	pprof_location_line(p, id, 0, &line);
	assert_string_equal(line.system_name, "_Z1gv");
	assert_string_equal(line.file, "g.h");
	assert_int_equal(line.start_line, 2);
	assert_int_equal(line.line, 3);
	pprof_location_line(p, id, 1, &line);
	assert_string_equal(line.name, "f");
	assert_int_equal(line.line, 7);
}

static void test_cache_answers_by_file(void **state)
{
	struct cache_counts counts;
	struct cache_answer answer;
	struct cache *cache;
	uint32_t one, other;

	assert_int_equal(cache_new(1 << 20, &cache), 0);
	one = number_of(cache, "one");
	other = number_of(cache, "other");
	assert_int_not_equal(one, other);
	for (unsigned job = 0; job < 3; job++) {
		struct pprof *p = make_profile(3);

		cache_begin(cache, p);
		assert_int_equal(number_of(cache, "one"), one);
		assert_int_equal(cache_answer(cache, one, 0x10, 1, &answer), job ? 0 : -ENOENT);
		assert_int_equal(cache_answer(cache, one, 0x20, 2, &answer), job ? 0 : -ENOENT);
		/* The same address of another file is another answer. */
		assert_int_equal(cache_answer(cache, other, 0x10, 3, &answer), job ? 0 : -ENOENT);
		if (job > 0) {
			check_lines(p, 1);
			check_lines(p, 2);
			assert_false(answer.named);
			assert_int_equal(answer.vaddr, 0x4010);
			pprof_set_lines(p, 3, answer_lines, 1); /* and the same function is one */
		} else {
			cache_add(cache, one, 0x10, answer_lines, 2, 0);
			cache_add(cache, one, 0x20, answer_lines, 2, 0);
			cache_add(cache, other, 0x10, NULL, 0, 0x4010);
		}
		pprof_free(p);
	}
	cache_count(cache, &counts);
	assert_int_equal(counts.hits, 6);
	assert_int_equal(counts.misses, 3);
	assert_int_equal(counts.dropped, 0);
	cache_free(cache);
}

/* What is asked for again and again outlasts ten times the bound of what is not. */
static void test_cache_keeps_what_is_used(void **state)
{
	enum { BOUND = 64 << 10, USED = 20, OTHERS = 6000, ROUND = 50 };
	struct pprof *p = make_profile(USED);
	struct cache_counts counts;
	struct cache_answer answer;
	struct cache *cache;
	uint32_t file;

	assert_int_equal(cache_new(BOUND, &cache), 0);
	file = number_of(cache, "file");
	cache_begin(cache, p);
	for (uint64_t a = 0; a < USED; a++)
		cache_add(cache, file, a, answer_lines, 2, 0);
	for (uint64_t a = 0; a < OTHERS; a++) {
		char name[32];
		struct pprof_line line = {.name = name, .system_name = name, .file = "h.cc"};

		snprintf(name, sizeof(name), "once_%u", (unsigned)a);
		cache_add(cache, file, 1000 + a, &line, 1, 0);
		assert_true(cache_bytes(cache) <= BOUND + 1024);
		if (a % ROUND)
			continue;
		for (uint64_t used = 0; used < USED; used++)
			assert_int_equal(cache_answer(cache, file, used, used + 1, &answer), 0);
	}
	check_lines(p, USED);
	cache_count(cache, &counts);
	assert_true(counts.dropped > OTHERS / 2);
	assert_int_equal(cache_answer(cache, file, 1000, 1, &answer), -ENOENT);
	assert_int_equal(cache_answer(cache, file, 1000 + OTHERS - 1, 1, &answer), 0);
	pprof_free(p);
	cache_free(cache);
}

/* As many files as a machine sees in a year do not fill it. */
static void test_cache_forgets_files(void **state)
{
	struct cache_answer answer;
	struct cache *cache;
	struct pprof *p = make_profile(1);
	uint32_t file = 0;

	assert_int_equal(cache_new(1 << 20, &cache), 0);
	cache_begin(cache, p);
	for (unsigned i = 0; i < 70000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "file-%u", i);
		file = number_of(cache, key);
		cache_add(cache, file, 1, answer_lines, 2, 0);
	}
	assert_int_equal(cache_answer(cache, file, 1, 1, &answer), 0);
	cache_begin(cache, p);
	assert_int_equal(cache_bytes(cache), 0);
	file = number_of(cache, "file-1");
	assert_int_equal(file, 1);
	assert_int_equal(cache_answer(cache, file, 1, 1, &answer), -ENOENT);
	cache_add(cache, file, 1, answer_lines, 2, 0);
	assert_int_equal(cache_answer(cache, file, 1, 1, &answer), 0);
	pprof_free(p);
	cache_free(cache);
}

/* ---- which file a module is */

static const uint8_t build_id[] = {0xab, 0xcd, 0xef, 1, 2, 3, 4, 5};

static bool same_key(const struct file_key *a, const struct file_key *b)
{
	return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static void test_file_keys(void **state)
{
	struct module by_id = {.kind = MODULE_FILE, .inode = 1, .build_id_bytes = sizeof(build_id)};
	struct module copy = by_id, plain = {.kind = MODULE_FILE, .inode = 1}, none = plain;
	_cleanup_close_ int fd = memory_file("1", 1);
	struct file_key a, b;

	memcpy(by_id.build_id, build_id, sizeof(build_id));
	memcpy(copy.build_id, build_id, sizeof(build_id));
	copy.inode = 2;
	file_key_of_module(&by_id, &a);
	file_key_of_module(&copy, &b);
	assert_true(a.n > 0 && same_key(&a, &b));
	copy.build_id[7]++;
	file_key_of_module(&copy, &b);
	assert_false(same_key(&a, &b));
	file_key_of_contents(a.bytes, a.n, fd, &b);
	assert_true(same_key(&a, &b));

	/* Without a build-id: this very file, as long as it is not written to. */
	file_key_of_module(&plain, &a);
	file_key_of_contents(a.bytes, a.n, fd, &a);
	file_key_of_module(&plain, &b);
	file_key_of_contents(b.bytes, b.n, fd, &b);
	assert_true(a.n > 0 && same_key(&a, &b));
	assert_int_equal(write(fd, "2", 1), 1);
	file_key_of_module(&plain, &b);
	file_key_of_contents(b.bytes, b.n, fd, &b);
	assert_false(same_key(&a, &b));

	/* What is known by its number: told apart, but its answers are not kept. */
	none.inode = 0;
	none.id = 7;
	file_key_of_module(&none, &a);
	none.id = 8;
	file_key_of_module(&none, &b);
	assert_true(a.n > 0 && !same_key(&a, &b));
	none.kind = MODULE_JIT;
	none.inode = 1;
	file_key_of_module(&none, &a);
	assert_true(same_key(&a, &b));
	file_key_of_contents(a.bytes, a.n, fd, &a);
	assert_int_equal(a.n, 0);
	file_key_of_contents((const uint8_t *)"i", FILE_KEY_MAX + 1, fd, &a);
	assert_int_equal(a.n, 0);
}

/* A debug file that comes later, or another one, asks for new answers. */
static void test_file_keys_with_debug_files(void **state)
{
	_cleanup_close_ int debug = memory_file("1", 1), other = memory_file("1", 1);
	static const uint8_t longest[FILE_KEY_MAX] = "b";
	struct file_key bare, a, b, none = {};

	file_key_of_contents(longest, sizeof(longest), debug, &bare);
	a = b = bare;
	file_key_add_part(&a, debug);
	assert_true(a.n > 0 && !same_key(&a, &bare));
	file_key_add_part(&b, debug);
	assert_true(same_key(&a, &b));
	b = bare;
	file_key_add_part(&b, other);
	assert_false(same_key(&a, &b));
	b = bare;
	file_key_add_number(&b, 0);
	assert_true(b.n > 0 && !same_key(&b, &bare));

	/* dwz's file as well; of more nothing is known. */
	b = a;
	file_key_add_part(&b, other);
	assert_true(b.n > 0 && !same_key(&a, &b));
	file_key_add_part(&b, other);
	assert_int_equal(b.n, 0);

	file_key_add_part(&none, debug);
	file_key_add_number(&none, 0);
	assert_int_equal(none.n, 0);
}

/* ---- quarantine */

static struct module make_module(const char *path, uint8_t number)
{
	struct module m = {.kind = MODULE_FILE, .path = (char *)path, .build_id_bytes = 8};

	m.build_id[0] = number;
	return m;
}

static void test_quarantine_knows_the_file(void **state)
{
	struct module first = make_module("/lib/libbad.so", 1);
	struct module again = make_module("/srv/copy.so", 1);
	struct module other = make_module("/lib/libbad.so", 2);
	struct module jit = {.kind = MODULE_JIT, .id = 9, .pid = 12};
	const struct quarantined *q;
	struct quarantine *quarantine;

	first.id = 5;
	again.id = 77; /* the same file, when it came back */
	assert_int_equal(quarantine_new(&quarantine), 0);
	assert_null(quarantine_find(quarantine, &first));
	assert_true(quarantine_add(quarantine, &first, SIGSEGV, 0, 12));
	assert_false(quarantine_add(quarantine, &again, SIGBUS, 0, 13));
	assert_null(quarantine_find(quarantine, &other));
	q = quarantine_find(quarantine, &again);
	assert_non_null(q);
	assert_string_equal(q->path, "/lib/libbad.so");
	assert_string_equal(q->build_id, "0100000000000000");
	assert_string_equal(q->why, "killed the symbolizer by SIGSEGV");
	assert_int_equal(q->unix_ns, 12);
	assert_true(quarantine_add(quarantine, &other, 0, 60 * NSEC_PER_SEC, 14));
	assert_string_equal(quarantine_get(quarantine, 1)->why,
			    "kept the symbolizer busy for 60 s");
	assert_null(quarantine_get(quarantine, 2));
	assert_int_equal(quarantine_total(quarantine), 2);
	assert_true(quarantine_add(quarantine, &jit, 9 << 8, 0, 15));
	assert_string_equal(quarantine_find(quarantine, &jit)->path, "perf-map of process 12");
	assert_string_equal(quarantine_find(quarantine, &jit)->why,
			    "made the symbolizer exit with status 9");
	quarantine_free(quarantine);
}

static void test_quarantine_is_bounded(void **state)
{
	struct quarantine *quarantine;
	struct module m;

	assert_int_equal(quarantine_new(&quarantine), 0);
	for (unsigned i = 0; i < PROFD_MAX_QUARANTINED + 10; i++) {
		m = make_module("/lib/lib.so", (uint8_t)i);
		assert_true(quarantine_add(quarantine, &m, SIGSEGV, 0, i));
	}
	assert_int_equal(quarantine_total(quarantine), PROFD_MAX_QUARANTINED + 10);
	assert_non_null(quarantine_get(quarantine, PROFD_MAX_QUARANTINED - 1));
	assert_null(quarantine_get(quarantine, PROFD_MAX_QUARANTINED));
	assert_non_null(quarantine_find(quarantine, &m));
	/* The oldest went. */
	assert_int_equal(quarantine_get(quarantine, 0)->unix_ns, 10);
	m = make_module("/lib/lib.so", 9);
	assert_null(quarantine_find(quarantine, &m));
	quarantine_free(quarantine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_symbols),
		cmocka_unit_test(test_kernel_symbols_malformed),
		cmocka_unit_test(test_demangles),
		cmocka_unit_test(test_demangling_is_bounded),
		cmocka_unit_test(test_ranges_prefer_the_innermost),
		cmocka_unit_test(test_cache_answers_by_file),
		cmocka_unit_test(test_cache_keeps_what_is_used),
		cmocka_unit_test(test_cache_forgets_files),
		cmocka_unit_test(test_file_keys),
		cmocka_unit_test(test_file_keys_with_debug_files),
		cmocka_unit_test(test_quarantine_knows_the_file),
		cmocka_unit_test(test_quarantine_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
