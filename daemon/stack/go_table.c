/*
 * Go's table (proto/pclntab.h) has a program for each function that says by how much the
 * stack pointer lies below its value at entry. From this the row follows: the return address
 * is what was on top of the stack at entry.
 *
 * Marks on a function's record say where a stack ends (goexit, mstart, rt0_go)
 * and which functions set the stack pointer themselves. These have either a
 * frame pointer to go by or came from another stack: systemstack, asmcgocall.
 */
#include "daemon/stack/go_table.h"

#include <errno.h>
#include <string.h>

#include "daemon/proc/elf.h"
#include "profd/base.h"
#include "proto/pclntab.h"

#define MAX_PROGRAM_BYTES 4096
#define MAX_FRAME_BYTES	  (1 << 30)
#define NAME_BYTES	  24

static int read_file(const void *from, uint64_t offset, void *ret, size_t bytes)
{
	const struct module *module = from;

	return elf_read_at(module->fd, module->go_table.offset + offset, ret, bytes);
}

static int open_table(const struct module *module, struct pclntab *ret_table)
{
	const struct pclntab_source source = {
		.read = read_file,
		.from = module,
		.bytes = module->go_table.bytes,
	};
	struct pclntab t;
	int r;

	if (module->fd < 0 || module->go_table.bytes == 0)
		return -ENOENT;
	r = pclntab_open(&source, &t);
	if (r == 0 && t.quantum != 1) /* of another machine */
		r = -ENOTSUP;
	if (r < 0)
		return r;
	*ret_table = t;
	return 0;
}

static int read_depth(const struct pclntab *t, const struct pclntab_function *f, uint64_t vaddr,
		      struct cfi_row *row)
{
	struct pclntab_stretch depth;
	int r;

	r = pclntab_follow(t, f, f->stack_program, vaddr, MAX_PROGRAM_BYTES, &depth);
	if (r < 0)
		return r;
	if (depth.value < 0 || depth.value > MAX_FRAME_BYTES || depth.value % 8 != 0)
		return -EBADMSG;
	row->start = depth.start;
	row->end = depth.end;
	row->cfa_offset = depth.value + 8;
	return 0;
}

static bool is_named(const struct pclntab *t, const struct pclntab_function *f, const char *head,
		     size_t n)
{
	char found[NAME_BYTES];

	return pclntab_read(t, t->names + f->name, found, n) == 0 && memcmp(found, head, n) == 0;
}

/* The kernel returns from a signal handler to this function's first instruction,
 * from which an address inside "the call" lies just outside. */
static bool is_signal_return(const struct pclntab *t, uint64_t vaddr)
{
	static const char name[] = "runtime.sigreturn"; /* and what stands behind it */
	struct pclntab_function f;

	return pclntab_find(t, vaddr, &f) == 0 && f.entry == vaddr &&
	       is_named(t, &f, name, strlen(name));
}

/* It leaves a goroutine for good: what runs above it was not called by that. */
static bool is_scheduler_start(const struct pclntab *t, const struct pclntab_function *f)
{
	static const char name[] = "runtime.mcall"; /* with its end */

	return (f->flags & PCLNTAB_SETS_SP) && is_named(t, f, name, sizeof(name));
}

int go_table_find_row(const struct module *module, uint64_t vaddr, struct cfi_row *ret_row)
{
	struct cfi_row row = {.kind = CFI_ROW_OFFSET, .cfa_reg = CFI_RSP, .ra_offset = -8};
	struct pclntab_function f;
	struct pclntab t;
	int r;

	r = open_table(module, &t);
	if (r == 0 && is_signal_return(&t, vaddr + 1)) {
		*ret_row =
			(struct cfi_row){.kind = CFI_ROW_SIGNAL, .start = vaddr, .end = vaddr + 1};
		return 0;
	}
	if (r == 0)
		r = pclntab_find(&t, vaddr, &f);
	if (r == 0 && is_scheduler_start(&t, &f))
		f.flags = PCLNTAB_TOP_FRAME;
	if (r == 0 && !(f.flags & PCLNTAB_TOP_FRAME))
		r = read_depth(&t, &f, vaddr, &row);
	if (r < 0)
		return r;
	if (f.flags & PCLNTAB_TOP_FRAME) {
		row = (struct cfi_row){.kind = CFI_ROW_END, .start = f.entry, .end = f.end};
	} else if (row.cfa_offset > 8) {
		/* A function that has a frame keeps its caller's frame pointer there. */
		row.rbp = -16;
		if (f.flags & PCLNTAB_SETS_SP) {
			row.cfa_reg = CFI_RBP;
			row.cfa_offset = 16;
		}
	} else if (f.flags & PCLNTAB_SETS_SP) {
		return -EXDEV;
	}
	*ret_row = row;
	return 0;
}
