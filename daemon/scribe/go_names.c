/*
 * A header tells where the parts of the table are. An index of functions by address
 * leads to a record each, which has the name, and two programs: pairs of numbers that say
 * which value (the line, the number of the file) changes by how much, and for how many
 * bytes of code it holds. Numbers of files are those of the function's package.
 *
 * Every offset is somebody else's and is checked against the table, and so is that a
 * string ends; a program is followed for at most MAX_STEPS.
 */
#include "daemon/scribe/go_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/scribe/section.h"

#define MAGIC_1_16 0xfffffffa
#define MAGIC_1_18 0xfffffff0
#define MAGIC_1_20 0xfffffff1

#define MAX_FUNCTIONS (1u << 24)
#define MAX_STEPS     (1u << 16)
#define NO_FILE	      UINT32_MAX

struct go_names {
	const uint8_t *bytes;
	uint64_t n;
	uint32_t magic;
	unsigned quantum;
	uint64_t n_functions, text_start;
	uint64_t names, packages, files, programs, functions; /* offsets */
};

struct go_function {
	uint64_t entry;
	uint32_t name, file_program, line_program, package, start_line;
};

static bool read_at(const struct go_names *t, uint64_t at, void *ret, size_t n)
{
	if (at > t->n || n > t->n - at)
		return false;
	memcpy(ret, t->bytes + at, n);
	return true;
}

static bool read_u32(const struct go_names *t, uint64_t at, uint32_t *ret)
{
	return read_at(t, at, ret, sizeof(*ret));
}

/* NULL: it does not end. */
static const char *read_string(const struct go_names *t, uint64_t at)
{
	if (at >= t->n || !memchr(t->bytes + at, 0, t->n - at))
		return NULL;
	return (const char *)t->bytes + at;
}

static Elf_Data *find_table(Elf *elf)
{
	Elf_Data *data = section_data(elf, ".gopclntab");

	return data ? data : section_data(elf, ".data.rel.ro.gopclntab");
}

static bool read_header(struct go_names *t)
{
	uint8_t head[8];
	uint64_t words[8];
	unsigned late;

	if (!read_at(t, 0, head, sizeof(head)) || !read_at(t, sizeof(head), words, sizeof(words)))
		return false;
	memcpy(&t->magic, head, sizeof(t->magic));
	if (t->magic != MAGIC_1_16 && t->magic != MAGIC_1_18 && t->magic != MAGIC_1_20)
		return false;
	late = t->magic != MAGIC_1_16; /* the address of the code comes in between */
	t->quantum = head[6];
	t->n_functions = words[0];
	t->text_start = late ? words[2] : 0;
	t->names = words[2 + late];
	t->packages = words[3 + late];
	t->files = words[4 + late];
	t->programs = words[5 + late];
	t->functions = words[6 + late];
	return head[7] == 8 && t->quantum > 0 && t->n_functions > 0 &&
	       t->n_functions <= MAX_FUNCTIONS && (!late || t->text_start != 0) &&
	       t->names <= t->n && t->packages <= t->n && t->files <= t->n && t->programs <= t->n &&
	       t->functions <= t->n;
}

int go_names_new(Elf *elf, struct go_names **ret_names)
{
	const Elf_Data *data = find_table(elf);
	struct go_names *t;

	if (!data || !data->d_buf)
		return -ENOENT;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->bytes = data->d_buf;
	t->n = data->d_size;
	if (!read_header(t)) {
		free(t);
		return -ENOENT;
	}
	*ret_names = t;
	return 0;
}

void go_names_free(struct go_names *names)
{
	free(names);
}

/* Entry @i of the index; the one behind the last says where the last ends. */
static bool read_index(const struct go_names *t, uint64_t i, uint64_t *ret_entry,
		       uint64_t *ret_record)
{
	uint64_t wide[2] = {};
	uint32_t narrow[2] = {};
	unsigned words = i < t->n_functions ? 2 : 1;

	if (t->magic == MAGIC_1_16) {
		if (!read_at(t, t->functions + i * sizeof(wide), wide, words * sizeof(*wide)))
			return false;
		*ret_entry = wide[0];
		*ret_record = wide[1];
		return true;
	}
	if (!read_at(t, t->functions + i * sizeof(narrow), narrow, words * sizeof(*narrow)))
		return false;
	*ret_entry = t->text_start + narrow[0];
	*ret_record = narrow[1];
	return true;
}

static bool find_record(const struct go_names *t, uint64_t vaddr, struct go_function *f,
			uint64_t *ret_record)
{
	uint64_t low = 0, high = t->n_functions, entry, end, unused;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (!read_index(t, middle, &entry, &unused))
			return false;
		if (entry <= vaddr)
			low = middle;
		else
			high = middle;
	}
	if (!read_index(t, low, &f->entry, ret_record) || !read_index(t, low + 1, &end, &unused))
		return false;
	return f->entry <= vaddr && vaddr < end;
}

static bool read_record(const struct go_names *t, uint64_t at, struct go_function *f)
{
	uint64_t base = t->functions + at, rest = base + (t->magic == MAGIC_1_16 ? 8 : 4);

	if (at > t->n || !read_u32(t, rest, &f->name) ||
	    !read_u32(t, rest + 16, &f->file_program) ||
	    !read_u32(t, rest + 20, &f->line_program) || !read_u32(t, rest + 28, &f->package))
		return false;
	return t->magic != MAGIC_1_20 || read_u32(t, rest + 32, &f->start_line);
}

static bool read_number(const struct go_names *t, uint64_t *at, uint32_t *ret)
{
	uint32_t value = 0;

	for (unsigned shift = 0; shift < 32 && *at < t->n; shift += 7) {
		uint8_t byte = t->bytes[(*at)++];

		value |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* The program's value at @vaddr; -1: none. */
static int64_t run_program(const struct go_names *t, uint32_t program, uint64_t entry,
			   uint64_t vaddr)
{
	uint64_t at = t->programs + program, pc = entry;
	uint32_t change, bytes;
	int64_t value = -1;

	for (unsigned i = 0; i < MAX_STEPS; i++) {
		if (!read_number(t, &at, &change) || (change == 0 && i > 0) ||
		    !read_number(t, &at, &bytes))
			return -1;
		value += change & 1 ? ~(int64_t)(change >> 1) : (int64_t)(change >> 1);
		pc += (uint64_t)bytes * t->quantum;
		if (vaddr < pc)
			return value >= 0 && value <= INT32_MAX ? value : -1;
	}
	return -1;
}

static const char *find_file(const struct go_names *t, const struct go_function *f, uint64_t vaddr)
{
	int64_t number = run_program(t, f->file_program, f->entry, vaddr);
	uint64_t index = (uint64_t)f->package + (uint64_t)number;
	uint32_t at;

	if (number < 0 || !read_u32(t, t->packages + index * sizeof(at), &at) || at == NO_FILE)
		return NULL;
	return read_string(t, t->files + at);
}

int go_names_find(const struct go_names *names, uint64_t vaddr, struct symbol *symbol)
{
	struct go_function f = {};
	const char *name, *file;
	uint64_t record;
	int64_t line;

	if (!find_record(names, vaddr, &f, &record) || !read_record(names, record, &f))
		return -ENOENT;
	name = read_string(names, names->names + f.name);
	if (!name || name[0] == '\0')
		return -ENOENT;
	file = find_file(names, &f, vaddr);
	line = file ? run_program(names, f.line_program, f.entry, vaddr) : 0;
	return symbol_push(symbol, name, file, max(line, (int64_t)0),
			   f.start_line <= INT32_MAX ? f.start_line : 0);
}
