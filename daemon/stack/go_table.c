/*
 * The table begins with a header that tells where its parts are. One part is an
 * index of functions by address; each entry leads to a record of the function,
 * and that to a program: pairs of numbers that say by how much the stack pointer
 * lies below its value at entry, and for how many bytes of code. From this the
 * row follows: the return address is what was on top of the stack at entry.
 *
 * Marks on a function's record say where a stack ends (goexit, mstart, rt0_go)
 * and which functions set the stack pointer themselves. These have either a
 * frame pointer to go by or came from another stack: systemstack, asmcgocall.
 *
 * It is a file of somebody else's. Every offset is checked against the table,
 * each read is one of some bytes, and a program is followed for at most
 * MAX_PROGRAM_BYTES.
 */
#include "daemon/stack/go_table.h"

#include <errno.h>
#include <string.h>

#include "daemon/proc/elf.h"
#include "profd/base.h"

#define MAGIC_1_16 0xfffffffa
#define MAGIC_1_18 0xfffffff0
#define MAGIC_1_20 0xfffffff1

#define MAX_FUNCTIONS	  (1u << 24)
#define MAX_PROGRAM_BYTES 4096
#define MAX_FRAME_BYTES	  (1 << 30)
#define NAME_BYTES	  24

enum { /* marks */
       FLAG_TOP_FRAME = 1,
       FLAG_SETS_SP = 2,
};

struct table {
	int fd;
	struct module_range range;
	uint32_t magic;
	uint64_t n_functions, text_start;
	uint64_t names, programs, functions; /* offsets */
};

struct function {
	uint64_t entry, end;
	uint32_t name, program; /* offsets in those parts */
	uint8_t flags;
};

static int read_at(const struct table *t, uint64_t offset, void *ret, size_t bytes)
{
	if (offset > t->range.bytes || bytes > t->range.bytes - offset)
		return -EBADMSG;
	return elf_read_at(t->fd, t->range.offset + offset, ret, bytes);
}

static int open_table(const struct module *m, struct table *t)
{
	uint8_t head[8];
	uint64_t words[8];
	unsigned late;
	int r;

	*t = (struct table){.fd = m->fd, .range = m->go_table};
	if (m->fd < 0 || m->go_table.bytes == 0)
		return -ENOENT;
	r = read_at(t, 0, head, sizeof(head));
	if (r == 0)
		r = read_at(t, sizeof(head), words, sizeof(words));
	if (r < 0)
		return r;
	memcpy(&t->magic, head, sizeof(t->magic));
	if (t->magic != MAGIC_1_16 && t->magic != MAGIC_1_18 && t->magic != MAGIC_1_20)
		return -ENOTSUP;
	if (head[6] != 1 || head[7] != 8) /* bytes of an instruction and of a pointer */
		return -ENOTSUP;
	late = t->magic != MAGIC_1_16; /* text_start comes in between */
	t->n_functions = words[0];
	t->text_start = late ? words[2] : 0;
	t->names = words[2 + late];
	t->programs = words[5 + late];
	t->functions = words[6 + late];
	if (late && t->text_start == 0) /* filled in only when the program is loaded */
		return -ENOTSUP;
	return t->n_functions > MAX_FUNCTIONS ? -EBADMSG : 0;
}

/* Entry @i of the index: where the function begins, and where its record is. The
 * one behind the last only says where the last one ends. */
static int read_index(const struct table *t, uint64_t i, uint64_t *ret_entry, uint64_t *ret_record)
{
	uint64_t wide[2] = {0};
	uint32_t narrow[2] = {0};
	size_t words = i < t->n_functions ? 2 : 1;
	int r;

	if (t->magic == MAGIC_1_16) {
		r = read_at(t, t->functions + i * sizeof(wide), wide, words * sizeof(wide[0]));
		*ret_entry = wide[0];
		*ret_record = wide[1];
	} else {
		r = read_at(t, t->functions + i * sizeof(narrow), narrow,
			    words * sizeof(narrow[0]));
		*ret_entry = t->text_start + narrow[0];
		*ret_record = narrow[1];
	}
	return r;
}

static int read_record(const struct table *t, uint64_t at, struct function *f)
{
	unsigned entry_bytes = t->magic == MAGIC_1_16 ? 8 : 4;
	unsigned flag_at = entry_bytes + (t->magic == MAGIC_1_20 ? 37 : 33);
	uint8_t record[48];
	int r;

	if (at > t->range.bytes)
		return -EBADMSG;
	r = read_at(t, t->functions + at, record, flag_at + 1);
	if (r < 0)
		return r;
	memcpy(&f->name, record + entry_bytes, sizeof(f->name));
	memcpy(&f->program, record + entry_bytes + 12, sizeof(f->program));
	f->flags = record[flag_at];
	return 0;
}

/* The function that holds @vaddr. */
static int find_function(const struct table *t, uint64_t vaddr, struct function *f)
{
	uint64_t low = 0, high = t->n_functions, entry, record;
	int r;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		r = read_index(t, middle, &entry, &record);
		if (r < 0)
			return r;
		if (entry <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -ENOENT;
	r = read_index(t, low, &f->end, &record);
	if (r == 0)
		r = read_index(t, low - 1, &f->entry, &record);
	if (r < 0)
		return r;
	if (vaddr >= f->end)
		return -ENOENT;
	return read_record(t, record, f);
}

/* A number of 7 bits a byte, lowest first. */
static bool take_number(const uint8_t **at, const uint8_t *end, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned shift = 0; *at < end && shift < 35; shift += 7) {
		uint8_t byte = *(*at)++;

		v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Where the program's value at @vaddr begins and ends, and what it is. */
static int run_program(const uint8_t *at, const uint8_t *end, const struct function *f,
		       uint64_t vaddr, struct cfi_row *row)
{
	uint64_t from, pc = f->entry;
	int64_t value = -1;
	uint32_t change, bytes;
	bool first = true;

	do {
		if (!take_number(&at, end, &change) || (change == 0 && !first) ||
		    !take_number(&at, end, &bytes))
			return -EBADMSG;
		first = false;
		value += (change & 1) ? -(int64_t)(change >> 1) - 1 : (int64_t)(change >> 1);
		from = pc;
		pc += bytes;
	} while (pc <= vaddr);
	if (value < 0 || value > MAX_FRAME_BYTES || value % 8 != 0)
		return -EBADMSG;
	row->start = from;
	row->end = min(pc, f->end);
	row->cfa_offset = (int32_t)value + 8;
	return 0;
}

static int read_program(const struct table *t, const struct function *f, uint64_t vaddr,
			struct cfi_row *row)
{
	uint8_t program[MAX_PROGRAM_BYTES];
	uint64_t offset = t->programs + f->program;
	size_t bytes;
	int r;

	if (f->program == 0 || offset < t->programs || offset >= t->range.bytes)
		return -EBADMSG;
	bytes = (size_t)min(t->range.bytes - offset, (uint64_t)sizeof(program));
	r = read_at(t, offset, program, bytes);
	return r < 0 ? r : run_program(program, program + bytes, f, vaddr, row);
}

static bool is_named(const struct table *t, const struct function *f, const char *head, size_t n)
{
	char found[NAME_BYTES];

	return read_at(t, t->names + f->name, found, n) == 0 && memcmp(found, head, n) == 0;
}

/* The kernel returns from a signal handler to this function's first instruction,
 * from which an address inside "the call" lies just outside. */
static bool is_signal_return(const struct table *t, uint64_t vaddr)
{
	static const char name[] = "runtime.sigreturn"; /* and what stands behind it */
	struct function f;

	return find_function(t, vaddr, &f) == 0 && f.entry == vaddr &&
	       is_named(t, &f, name, strlen(name));
}

/* It leaves a goroutine for good: what runs above it was not called by that. */
static bool is_scheduler_start(const struct table *t, const struct function *f)
{
	static const char name[] = "runtime.mcall"; /* with its end */

	return (f->flags & FLAG_SETS_SP) && is_named(t, f, name, sizeof(name));
}

int go_table_find_row(const struct module *module, uint64_t vaddr, struct cfi_row *ret_row)
{
	struct cfi_row row = {.kind = CFI_ROW_OFFSET, .cfa_reg = CFI_RSP, .ra_offset = -8};
	struct function f;
	struct table t;
	int r;

	r = open_table(module, &t);
	if (r == 0 && is_signal_return(&t, vaddr + 1)) {
		*ret_row =
			(struct cfi_row){.kind = CFI_ROW_SIGNAL, .start = vaddr, .end = vaddr + 1};
		return 0;
	}
	if (r == 0)
		r = find_function(&t, vaddr, &f);
	if (r == 0 && is_scheduler_start(&t, &f))
		f.flags = FLAG_TOP_FRAME;
	if (r == 0 && !(f.flags & FLAG_TOP_FRAME))
		r = read_program(&t, &f, vaddr, &row);
	if (r < 0)
		return r;
	if (f.flags & FLAG_TOP_FRAME) {
		row = (struct cfi_row){.kind = CFI_ROW_END, .start = f.entry, .end = f.end};
	} else if (row.cfa_offset > 8) {
		/* A function that has a frame keeps its caller's frame pointer there. */
		row.rbp = -16;
		if (f.flags & FLAG_SETS_SP) {
			row.cfa_reg = CFI_RBP;
			row.cfa_offset = 16;
		}
	} else if (f.flags & FLAG_SETS_SP) {
		return -EXDEV;
	}
	*ret_row = row;
	return 0;
}
