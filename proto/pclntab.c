/*
 * The table begins with a header that tells where its parts are. One part is an index of
 * functions by address; each entry leads to a record of the function, and that to programs:
 * pairs of numbers that say by how much a value (the depth of the stack, the line, the number
 * of the file) changes, and for how many bytes of code it holds.
 */
#include "proto/pclntab.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "profd/base.h"

#define MAGIC_1_16 0xfffffffa
#define MAGIC_1_18 0xfffffff0
#define MAGIC_1_20 0xfffffff1

#define MAX_FUNCTIONS (1u << 24)
#define BLOCK_BYTES   256 /* of a program, read at once */
#define LAST_SHIFT    28  /* of a number's fifth byte, which has the last 4 of 32 bits */

int pclntab_read(const struct pclntab *t, uint64_t offset, void *ret, size_t bytes)
{
	const struct pclntab_source *source = &t->source;

	if (offset > source->bytes || bytes > source->bytes - offset)
		return -EBADMSG;
	return source->read(source->from, offset, ret, bytes);
}

static bool has_known_magic(const struct pclntab *t)
{
	return t->magic == MAGIC_1_16 || t->magic == MAGIC_1_18 || t->magic == MAGIC_1_20;
}

static bool has_parts(const struct pclntab *t)
{
	const uint64_t bytes = t->source.bytes;

	return t->n_functions > 0 && t->n_functions <= MAX_FUNCTIONS && t->names <= bytes &&
	       t->packages <= bytes && t->files <= bytes && t->programs <= bytes &&
	       t->functions <= bytes;
}

int pclntab_open(const struct pclntab_source *source, struct pclntab *ret_table)
{
	struct pclntab t = {.source = *source};
	uint8_t head[8];
	uint64_t words[8];
	unsigned late;
	int r;

	r = pclntab_read(&t, 0, head, sizeof(head));
	if (r == 0)
		r = pclntab_read(&t, sizeof(head), words, sizeof(words));
	if (r < 0)
		return r;
	memcpy(&t.magic, head, sizeof(t.magic));
	t.quantum = head[6];
	/* 8: bytes of a pointer */
	if (!has_known_magic(&t) || head[7] != 8 ||
	    (t.quantum != 1 && t.quantum != 2 && t.quantum != 4))
		return -ENOTSUP;
	late = t.magic != MAGIC_1_16; /* the address of the code comes in between */
	t.n_functions = words[0];
	t.text_start = late ? words[2] : 0;
	t.names = words[2 + late];
	t.packages = words[3 + late];
	t.files = words[4 + late];
	t.programs = words[5 + late];
	t.functions = words[6 + late];
	if (late && t.text_start == 0) /* filled in only when the program is loaded */
		return -ENOTSUP;
	if (!has_parts(&t))
		return -EBADMSG;
	*ret_table = t;
	return 0;
}

/* Entry @i of the index: where the function begins, and where its record is. The
 * one behind the last only says where the last one ends. */
static int read_index(const struct pclntab *t, uint64_t i, uint64_t *ret_entry,
		      uint64_t *ret_record)
{
	uint64_t wide[2] = {0};
	uint32_t narrow[2] = {0};
	size_t words = i < t->n_functions ? 2 : 1;
	int r;

	if (t->magic == MAGIC_1_16) {
		r = pclntab_read(t, t->functions + i * sizeof(wide), wide, words * sizeof(*wide));
		*ret_entry = wide[0];
		*ret_record = wide[1];
	} else {
		r = pclntab_read(t, t->functions + i * sizeof(narrow), narrow,
				 words * sizeof(*narrow));
		*ret_entry = t->text_start + narrow[0];
		*ret_record = narrow[1];
	}
	return r;
}

static int read_record(const struct pclntab *t, uint64_t at, struct pclntab_function *f)
{
	size_t name_at = t->magic == MAGIC_1_16 ? 8 : 4;
	size_t flags_at = name_at + (t->magic == MAGIC_1_20 ? 37 : 33);
	uint8_t record[48];
	int r;

	if (at > t->source.bytes)
		return -EBADMSG;
	r = pclntab_read(t, t->functions + at, record, flags_at + 1);
	if (r < 0)
		return r;
	memcpy(&f->name, record + name_at, sizeof(f->name));
	memcpy(&f->stack_program, record + name_at + 12, sizeof(f->stack_program));
	memcpy(&f->file_program, record + name_at + 16, sizeof(f->file_program));
	memcpy(&f->line_program, record + name_at + 20, sizeof(f->line_program));
	memcpy(&f->package, record + name_at + 28, sizeof(f->package));
	if (t->magic == MAGIC_1_20)
		memcpy(&f->start_line, record + name_at + 32, sizeof(f->start_line));
	f->flags = record[flags_at];
	return 0;
}

/* The number of functions that begin at @vaddr or before. */
static int count_before(const struct pclntab *t, uint64_t vaddr, uint64_t *ret)
{
	uint64_t low = 0, high = t->n_functions, entry, unused;
	int r;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		r = read_index(t, middle, &entry, &unused);
		if (r < 0)
			return r;
		if (entry <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return 0;
}

int pclntab_find(const struct pclntab *t, uint64_t vaddr, struct pclntab_function *ret_function)
{
	struct pclntab_function f = {0};
	uint64_t n, record, unused;
	int r;

	r = count_before(t, vaddr, &n);
	if (r < 0)
		return r;
	if (n == 0)
		return -ENOENT;
	r = read_index(t, n, &f.end, &unused);
	if (r == 0)
		r = read_index(t, n - 1, &f.entry, &record);
	if (r < 0)
		return r;
	if (vaddr < f.entry || vaddr >= f.end)
		return -ENOENT;
	r = read_record(t, record, &f);
	if (r < 0)
		return r;
	*ret_function = f;
	return 0;
}

/* ---- programs */

struct program {
	const struct pclntab *table;
	uint64_t at, end; /* what has not been read yet */
	size_t next, n;
	uint8_t block[BLOCK_BYTES];
};

static int take_byte(struct program *p, uint8_t *ret)
{
	int r;

	if (p->next == p->n) {
		p->next = 0;
		p->n = (size_t)min(p->end - p->at, (uint64_t)sizeof(p->block));
		r = p->n > 0 ? pclntab_read(p->table, p->at, p->block, p->n) : -EBADMSG;
		if (r < 0)
			return r;
		p->at += p->n;
	}
	*ret = p->block[p->next++];
	return 0;
}

/* Of 32 bits, 7 a byte, lowest first. */
static int take_number(struct program *p, uint32_t *ret)
{
	uint32_t v = 0;
	uint8_t byte;
	int r;

	for (unsigned shift = 0;; shift += 7) {
		r = take_byte(p, &byte);
		if (r < 0)
			return r;
		if (shift == LAST_SHIFT && byte > 0x0f)
			return -EBADMSG;
		v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return 0;
		}
	}
}

/* One pair. A change by nothing, but the first, is the program's end. */
static int take_step(struct program *p, bool first, int64_t *value, uint64_t *pc)
{
	uint32_t change, n;
	int r;

	r = take_number(p, &change);
	if (r == 0 && change == 0 && !first)
		r = -EBADMSG;
	if (r == 0)
		r = take_number(p, &n);
	if (r < 0)
		return r;
	*value += change & 1 ? ~(int64_t)(change >> 1) : (int64_t)(change >> 1);
	if (*value != (int32_t)*value ||
	    __builtin_add_overflow(*pc, (uint64_t)n * p->table->quantum, pc))
		return -EBADMSG;
	return 0;
}

int pclntab_follow(const struct pclntab *t, const struct pclntab_function *f, uint32_t program,
		   uint64_t vaddr, size_t max_bytes, struct pclntab_stretch *ret_stretch)
{
	struct program p = {.table = t, .at = t->programs + program};
	uint64_t from, pc = f->entry;
	int64_t value = -1;
	bool first = true;
	int r;

	/* No program is at the beginning of them: a function that has none says 0. */
	if (program == 0 || p.at >= t->source.bytes || vaddr < f->entry || vaddr >= f->end)
		return -EBADMSG;
	p.end = min(t->source.bytes, p.at + max_bytes);
	do {
		from = pc;
		r = take_step(&p, first, &value, &pc);
		if (r < 0)
			return r;
		first = false;
	} while (pc <= vaddr);
	*ret_stretch = (struct pclntab_stretch){from, min(pc, f->end), (int32_t)value};
	return 0;
}
