/*
 * Two of a function's programs (proto/pclntab.h) say the line, and the number of the file
 * among those of the function's package.
 *
 * The table is a section that is in memory, so strings are not copied; that they end is
 * checked.
 */
#include "daemon/scribe/go_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/scribe/section.h"
#include "proto/pclntab.h"

#define MAX_PROGRAM_BYTES (256u << 10)
#define NO_FILE		  UINT32_MAX

struct go_names {
	const uint8_t *bytes;
	struct pclntab table;
};

static int read_memory(const void *from, uint64_t offset, void *ret, size_t bytes)
{
	memcpy(ret, (const uint8_t *)from + offset, bytes);
	return 0;
}

/* NULL: it does not end. */
static const char *read_string(const struct go_names *names, uint64_t at)
{
	uint64_t bytes = names->table.source.bytes;

	if (at >= bytes || !memchr(names->bytes + at, 0, bytes - at))
		return NULL;
	return (const char *)names->bytes + at;
}

int go_names_new_table(const void *bytes, size_t n, struct go_names **ret_names)
{
	const struct pclntab_source source = {.read = read_memory, .from = bytes, .bytes = n};
	struct go_names *names;
	struct pclntab table;

	if (pclntab_open(&source, &table) < 0)
		return -ENOENT;
	names = malloc(sizeof(*names));
	if (!names)
		return -ENOMEM;
	*names = (struct go_names){.bytes = bytes, .table = table};
	*ret_names = names;
	return 0;
}

int go_names_new(Elf *elf, struct go_names **ret_names)
{
	const Elf_Data *data = section_data(elf, ".gopclntab");

	if (!data)
		data = section_data(elf, ".data.rel.ro.gopclntab");
	return data ? go_names_new_table(data->d_buf, data->d_size, ret_names) : -ENOENT;
}

void go_names_free(struct go_names *names)
{
	free(names);
}

/* A program's value at @vaddr; -1: none. */
static int32_t follow(const struct go_names *names, const struct pclntab_function *f,
		      uint32_t program, uint64_t vaddr)
{
	struct pclntab_stretch found;
	int r;

	r = pclntab_follow(&names->table, f, program, vaddr, MAX_PROGRAM_BYTES, &found);
	return r < 0 ? -1 : max(found.value, -1);
}

static const char *find_file(const struct go_names *names, const struct pclntab_function *f,
			     uint64_t vaddr)
{
	const struct pclntab *t = &names->table;
	int32_t number = follow(names, f, f->file_program, vaddr);
	uint32_t at;

	if (number < 0 ||
	    pclntab_read(t, t->packages + ((uint64_t)f->package + (uint32_t)number) * sizeof(at),
			 &at, sizeof(at)) < 0 ||
	    at == NO_FILE)
		return NULL;
	return read_string(names, t->files + at);
}

int go_names_find(const struct go_names *names, uint64_t vaddr, struct symbol *symbol)
{
	struct pclntab_function f;
	const char *name, *file;
	int64_t line;

	if (pclntab_find(&names->table, vaddr, &f) < 0)
		return -ENOENT;
	name = read_string(names, names->table.names + f.name);
	if (!name || name[0] == '\0')
		return -ENOENT;
	file = find_file(names, &f, vaddr);
	line = file ? follow(names, &f, f.line_program, vaddr) : 0;
	return symbol_push(symbol, name, file, max(line, (int64_t)0),
			   f.start_line <= INT32_MAX ? f.start_line : 0);
}
