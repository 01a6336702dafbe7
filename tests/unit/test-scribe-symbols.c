/*
 * Names, files, lines and inlines: compared with binutils' addr2line on a C++
 * program of ours; inlined calls in blocks that overlap; the C library by its exported
 * names alone; files that are no ELF files, or no longer whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profd/base.h"
#include "daemon/scribe/image.h"

#define N_ADDRESSES 2000

static void fixture_path(const char *name, char *ret, size_t size)
{
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(ret, size, "%s/../fixtures/%s", self, name);
	if (access(ret, R_OK) < 0)
		fail_msg("%s is missing: make fixtures", ret);
}

static struct image *open_image(const char *path)
{
	struct image *image;
	/* The image needs it for as long as it lives: the process's end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(image_open(fd, &image), 0);
	return image;
}

static Elf_Scn *find_section(Elf *elf, const char *name, GElf_Shdr *ret_header)
{
	Elf_Scn *section = NULL;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
	while ((section = elf_nextscn(elf, section))) {
		assert_non_null(gelf_getshdr(section, ret_header));
		if (strcmp(elf_strptr(elf, names, ret_header->sh_name), name) == 0)
			return section;
	}
	fail_msg("no section %s", name);
	return NULL;
}

static void text_section(const char *path, uint64_t *ret_start, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	GElf_Shdr header;
	Elf *elf;

	elf = elf_begin(fd, ELF_C_READ, NULL);
	assert_non_null(elf);
	find_section(elf, ".text", &header);
	*ret_start = header.sh_addr;
	*ret_bytes = header.sh_size;
	elf_end(elf);
}

/* @n addresses, evenly over the code of the functions that have debug
 * information: padding between functions and the start-up code have none. */
static void pick_addresses(const char *path, uint64_t *addresses, size_t n)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	GElf_Shdr header;
	Elf_Data *data;
	GElf_Sym sym;
	uint64_t total = 0, at = 0;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	size_t taken = 0;

	data = elf_getdata(find_section(elf, ".symtab", &header), NULL);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (int i = 0; gelf_getsym(data, i, &sym); i++) {
			const char *name = elf_strptr(elf, header.sh_link, sym.st_name);

			if (GELF_ST_TYPE(sym.st_info) != STT_FUNC || sym.st_size == 0 ||
			    (name[0] == '_' && name[1] != 'Z'))
				continue;
			if (pass == 0)
				total += sym.st_size;
			for (uint64_t a = 0; pass == 1 && a < sym.st_size; a++, at += n)
				if (at / total >= taken && taken < n)
					addresses[taken++] = sym.st_value + a;
		}
	}
	assert_true(total > n);
	assert_int_equal(taken, n);
	elf_end(elf);
}

struct answer { /* of one symbolizer for one address */
	size_t n;
	char *names[SYMBOL_MAX_LINES];
	char *places[SYMBOL_MAX_LINES]; /* file:line */
};

static void answer_done(struct answer *answer)
{
	for (size_t i = 0; i < answer->n; i++) {
		free(answer->names[i]);
		free(answer->places[i]);
	}
	answer->n = 0;
}

static void ask_ours(struct image *image, uint64_t address, struct answer *answer)
{
	struct symbol symbol = {};

	answer->n = 0;
	image_find(image, address, true, &symbol);
	for (size_t i = 0; i < symbol.n; i++) {
		const struct pprof_line *line = &symbol.lines[i];

		answer->names[i] = strdup(line->name);
		if (asprintf(&answer->places[i], "%s:%ld", line->file, (long)line->line) < 0)
			abort();
		answer->n++;
	}
	symbol_done(&symbol);
}

/* "file:?" is line 0; "(discriminator 3)" is of no interest. */
static char *copy_place(char *line)
{
	char *cut = strstr(line, " (discriminator");
	size_t n;

	if (cut)
		*cut = '\0';
	n = strlen(line);
	if (n >= 2 && strcmp(line + n - 2, ":?") == 0)
		line[n - 1] = '0';
	return strdup(line);
}

/* addr2line -a prints the address, then pairs of lines. */
static void ask_theirs(FILE *in, char *line, size_t size, struct answer *answer)
{
	answer->n = 0;
	while (fgets(line, (int)size, in) && strncmp(line, "0x", 2) != 0) {
		line[strcspn(line, "\n")] = '\0';
		answer->names[answer->n] = strdup(line);
		assert_non_null(fgets(line, (int)size, in));
		line[strcspn(line, "\n")] = '\0';
		answer->places[answer->n++] = copy_place(line);
		assert_true(answer->n < SYMBOL_MAX_LINES);
	}
}

/* A function that is private to its file has no linkage name. Binutils then takes
 * the ELF symbol at the address, which is the outermost function's, for one
 * that is inlined there, and calls the outermost by its bare name. */
static bool is_their_mistake(const struct answer *theirs, const struct answer *ours, size_t i)
{
	const char *outermost = ours->names[ours->n - 1];

	/* Parameters of a template are written in two ways. */
	if (i == ours->n - 1) {
		theirs->names[i][strcspn(theirs->names[i], "<")] = '\0';
		return strstr(outermost, theirs->names[i]) != NULL;
	}
	return strcmp(theirs->names[i], outermost) == 0;
}

static bool same_answer(const struct answer *theirs, const struct answer *ours, unsigned *mistakes)
{
	if (theirs->n != ours->n)
		return false;
	for (size_t i = 0; i < ours->n; i++) {
		if (strcmp(theirs->places[i], ours->places[i]) != 0)
			return false;
		if (strcmp(theirs->names[i], ours->names[i]) == 0)
			continue;
		if (!is_their_mistake(theirs, ours, i))
			return false;
		++*mistakes;
	}
	return true;
}

static void print_answer(const char *who, const struct answer *answer)
{
	for (size_t i = 0; i < answer->n; i++)
		print_message("    %s: %s  %s\n", who, answer->names[i], answer->places[i]);
}

static FILE *start_addr2line(const char *path, const uint64_t *addresses, size_t n)
{
	char list[] = "/tmp/test-scribe-symbols-XXXXXX";
	_cleanup_free_ char *command = NULL;
	FILE *out = fdopen(mkstemp(list), "w"), *in;

	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "0x%lx\n", (long)addresses[i]);
	fclose(out);
	assert_true(asprintf(&command, "addr2line -afiC -e %s < %s; rm %s", path, list, list) > 0);
	in = popen(command, "r");
	assert_non_null(in);
	return in;
}

static void test_agrees_with_addr2line(void **state)
{
	static uint64_t addresses[N_ADDRESSES];
	static char path[4096], line[65536];
	unsigned differ = 0, inlined = 0, mistakes = 0;
	struct image *image;
	FILE *in;

	fixture_path("sym-shapes", path, sizeof(path));
	pick_addresses(path, addresses, N_ADDRESSES);
	image = open_image(path);
	in = start_addr2line(path, addresses, N_ADDRESSES);
	assert_non_null(fgets(line, sizeof(line), in));
	for (size_t i = 0; i < N_ADDRESSES; i++) {
		_cleanup_(answer_done) struct answer theirs, ours;

		ask_theirs(in, line, sizeof(line), &theirs);
		ask_ours(image, addresses[i], &ours);
		inlined += ours.n > 1;
		if (same_answer(&theirs, &ours, &mistakes) || differ++ >= 5)
			continue;
		print_message("0x%lx\n", (long)addresses[i]);
		print_answer("addr2line", &theirs);
		print_answer("ours", &ours);
	}
	pclose(in);
	image_close(image);
	print_message("%u addresses, %u with inlines: %u differ from addr2line "
		      "(%u names beside, where addr2line is known to err)\n",
		      N_ADDRESSES, inlined, differ, mistakes);
	assert_true(inlined > N_ADDRESSES / 10);
	assert_true(differ * 1000 <= N_ADDRESSES);
	assert_true(mistakes * 5 <= N_ADDRESSES);
}

/* Finds the named function's inner frames by scanning its code. */
static void test_inlines_and_start_lines(void **state)
{
	struct symbol symbol = {};
	char path[4096];
	struct image *image;
	uint64_t start, bytes;
	bool found = false;

	fixture_path("sym-shapes", path, sizeof(path));
	text_section(path, &start, &bytes);
	image = open_image(path);
	for (uint64_t a = start; a < start + bytes && !found; a++) {
		symbol_done(&symbol);
		if (image_find(image, a, true, &symbol) < 0 || symbol.n != 3)
			continue;
		found = strcmp(symbol.lines[2].name, "shapes::outermost(unsigned int)") == 0;
	}
	assert_true(found);
	assert_string_equal(symbol.lines[0].name, "innermost");
	assert_string_equal(symbol.lines[1].name, "middle");
	assert_string_equal(symbol.lines[2].system_name, "_ZN6shapes9outermostEj");
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(strstr(symbol.lines[i].file, "sym-shapes.cc"));
		assert_true(symbol.lines[i].start_line > 0);
		assert_true(symbol.lines[i].line >= symbol.lines[i].start_line);
		assert_true(symbol.lines[i].line < symbol.lines[i].start_line + 9);
	}
	symbol_done(&symbol);
	/* Names only, when time is short. */
	assert_int_equal(image_find(image, start + bytes / 2, false, &symbol), 0);
	assert_int_equal(symbol.n, 1);
	assert_string_equal(symbol.lines[0].file, "");
	symbol_done(&symbol);
	image_close(image);
}

static uint64_t symbol_address(const char *path, const char *wanted)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	uint64_t address = 0;
	GElf_Shdr header;
	Elf_Data *data;
	GElf_Sym sym;

	data = elf_getdata(find_section(elf, ".symtab", &header), NULL);
	for (int i = 0; gelf_getsym(data, i, &sym); i++)
		if (strcmp(elf_strptr(elf, header.sh_link, sym.st_name), wanted) == 0)
			address = sym.st_value;
	elf_end(elf);
	return address;
}

/* sym-overlap.c shows the blocks. */
static void test_looks_into_every_block(void **state)
{
	struct symbol symbol = {};
	struct image *image;
	char path[4096];
	uint64_t start;

	fixture_path("sym-overlap", path, sizeof(path));
	start = symbol_address(path, "overlapping");
	image = open_image(path);
	for (unsigned i = 0; i < 16; i++) {
		bool inside = i >= 8 && i < 12;

		assert_int_equal(image_find(image, start + i, true, &symbol), 0);
		assert_int_equal(symbol.n, inside ? 2 : 1);
		assert_string_equal(symbol.lines[symbol.n - 1].name, "overlapping");
		assert_string_equal(symbol.lines[0].name, inside ? "moved" : "overlapping");
		assert_int_equal(symbol.lines[symbol.n - 1].line, inside ? 77 : 0);
		symbol_done(&symbol);
	}
	image_close(image);
}

/* Of labels at one place the readable one; not what the optimizer calls a part. */
static void test_names_that_a_person_would_use(void **state)
{
	struct symbol symbol = {};
	struct image *image;
	char path[4096];

	fixture_path("sym-overlap", path, sizeof(path));
	image = open_image(path);
	assert_int_equal(image_find(image, symbol_address(path, "__overlapping"), true, &symbol),
			 0);
	assert_string_equal(symbol.lines[0].name, "overlapping");
	symbol_done(&symbol);
	assert_int_equal(image_find(image, symbol_address(path, "__split.part.0"), true, &symbol),
			 0);
	assert_string_equal(symbol.lines[0].name, "split");
	symbol_done(&symbol);
	image_close(image);
}

static void test_c_library_by_exported_names(void **state)
{
	/* Not "malloc": a sanitizer would answer with its own. */
	void *library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	void *function = library ? dlsym(library, "malloc") : NULL;
	struct symbol symbol = {};
	struct link_map *map;
	struct image *image;
	Dl_info info;
	uint64_t vaddr;

	assert_non_null(function);
	assert_true(dladdr1(function, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
	image = open_image(info.dli_fname);
	vaddr = (uint64_t)(uintptr_t)function - map->l_addr;
	assert_int_equal(image_find(image, vaddr + 5, true, &symbol), 0);
	assert_string_equal(symbol.lines[symbol.n - 1].name, "malloc");
	symbol_done(&symbol);
	/* What no symbol covers is nobody's. */
	assert_int_equal(image_find(image, 8, true, &symbol), -ENOENT);
	image_close(image);
	dlclose(library);
}

static int memory_file(const void *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static void test_offsets_become_addresses(void **state)
{
	char path[4096];
	struct image *image;
	uint64_t start, bytes, vaddr = 0;
	bool found = false;

	fixture_path("sym-shapes", path, sizeof(path));
	text_section(path, &start, &bytes);
	image = open_image(path);
	/* The linker keeps the two equal modulo the page. */
	for (uint64_t offset = start & 4095; offset < start + bytes && !found; offset += 4096)
		found = image_offset_to_vaddr(image, offset, &vaddr) && vaddr == start;
	assert_true(found);
	assert_false(image_offset_to_vaddr(image, 1ULL << 40, &vaddr));
	assert_false(image_offset_to_vaddr(image, UINT64_MAX, &vaddr));
	image_close(image);
}

static void test_refuses_what_is_no_elf_file(void **state)
{
	static const char *const garbage[] = {"", "x", "\177ELF",
					      "\177ELF\2\1\1garbage garbage garbage"};
	struct image *image;
	int pipes[2];

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		_cleanup_close_ int fd = memory_file(garbage[i], strlen(garbage[i]));

		assert_int_equal(image_open(fd, &image), -EBADMSG);
	}
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(image_open(pipes[0], &image), -EBADMSG);
	close(pipes[0]);
	close(pipes[1]);
}

/* Every truncation of a good file, in steps: an error or an answer, no crash. */
static void test_survives_truncated_files(void **state)
{
	char path[4096];
	_cleanup_free_ char *bytes = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	fixture_path("sym-shapes", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	for (unsigned i = 0; i < 64; i++) {
		_cleanup_close_ int cut = memory_file(bytes, (size_t)st.st_size * i / 64);
		struct symbol symbol = {};
		struct image *image;

		if (image_open(cut, &image) < 0)
			continue;
		for (uint64_t a = 0x1000; a < 0x8000; a += 0x123) {
			image_find(image, a, true, &symbol);
			symbol_done(&symbol);
		}
		image_close(image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agrees_with_addr2line),
		cmocka_unit_test(test_inlines_and_start_lines),
		cmocka_unit_test(test_looks_into_every_block),
		cmocka_unit_test(test_names_that_a_person_would_use),
		cmocka_unit_test(test_c_library_by_exported_names),
		cmocka_unit_test(test_offsets_become_addresses),
		cmocka_unit_test(test_refuses_what_is_no_elf_file),
		cmocka_unit_test(test_survives_truncated_files),
	};

	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
