/*
 * The walk. Each turn of the loop stands in one frame, whose code address is
 * looked up (mapping, module, row), written down and left for its caller's.
 *
 * What moves the walk on, in this order: a call-frame row; libunwind, where the
 * row says that it takes a full DWARF machine; the frame pointer, where there is
 * no row and its chain stays in the stack and leads to code. Every step leads
 * up the stack (step.c) or is one of at most PROFD_MAX_USER_FRAMES, so hostile
 * stacks and modules cost no more than deep ones.
 *
 * All that is kept between walks is the cache of rows, whose keys never
 * change their meaning.
 */
#include "daemon/stack/unwind.h"

#include <asm/perf_regs.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "daemon/stack/go_table.h"
#include "daemon/stack/remote.h"
#include "daemon/stack/row_cache.h"
#include "daemon/stack/search.h"
#include "daemon/stack/step.h"
#include "profd/base.h"
#include "profd/limits.h"

#define BIT(perf_reg) (1ULL << (perf_reg))

/* perf writes the registers asked for in the order of their bits. */
const uint64_t unwind_perf_regs =
	BIT(PERF_REG_X86_AX) | BIT(PERF_REG_X86_BX) | BIT(PERF_REG_X86_CX) | BIT(PERF_REG_X86_DX) |
	BIT(PERF_REG_X86_SI) | BIT(PERF_REG_X86_DI) | BIT(PERF_REG_X86_BP) | BIT(PERF_REG_X86_SP) |
	BIT(PERF_REG_X86_IP) | BIT(PERF_REG_X86_R8) | BIT(PERF_REG_X86_R9) | BIT(PERF_REG_X86_R10) |
	BIT(PERF_REG_X86_R11) | BIT(PERF_REG_X86_R12) | BIT(PERF_REG_X86_R13) |
	BIT(PERF_REG_X86_R14) | BIT(PERF_REG_X86_R15);

static_assert((int)UNWIND_RAX == PERF_REG_X86_AX && (int)UNWIND_RBX == PERF_REG_X86_BX &&
		      (int)UNWIND_RCX == PERF_REG_X86_CX && (int)UNWIND_RDX == PERF_REG_X86_DX &&
		      (int)UNWIND_RSI == PERF_REG_X86_SI && (int)UNWIND_RDI == PERF_REG_X86_DI &&
		      (int)UNWIND_RBP == PERF_REG_X86_BP && (int)UNWIND_RSP == PERF_REG_X86_SP &&
		      (int)UNWIND_RIP == PERF_REG_X86_IP &&
		      UNWIND_R15 - UNWIND_R8 == PERF_REG_X86_R15 - PERF_REG_X86_R8,
	      "perf's order");

struct unwinder {
	struct process_table *processes;
	struct module_table *modules;
	struct row_cache *rows;
	struct remote *remote;
	struct unwind_stats stats;
};

/* What a row costs that is not in the cache, and what one walk may spend: the next
 * sample goes on from there. In a file without .eh_frame_hdr every record may have to
 * be looked at, Go's table is read with some twenty system calls. */
#define WORK_A_WALK    2048
#define WORK_LOOKUP    1
#define WORK_LIBUNWIND 8
#define WORK_GO	       8
#define WORK_SCAN      128

struct walk { /* one sample's */
	const struct process *process;
	struct step step;
	bool left_stack; /* a signal handler ran on a stack of its own */
	int work;	 /* done so far */

	/* of the current frame */
	struct module *module;
	uint64_t offset; /* of step_lookup(), as struct frame has it */
};

int unwinder_new(struct process_table *processes, struct module_table *modules,
		 struct unwinder **ret_unwinder)
{
	struct unwinder *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->processes = processes;
	u->modules = modules;
	r = row_cache_new(&u->rows);
	if (r == 0)
		r = remote_new(&u->remote);
	if (r < 0) {
		unwinder_free(u);
		return r;
	}
	*ret_unwinder = u;
	return 0;
}

void unwinder_free(struct unwinder *u)
{
	if (!u)
		return;
	row_cache_free(u->rows);
	remote_free(u->remote);
	free(u);
}

/* The current frame's module and offset. False: its address is in no mapping. */
static bool locate(struct unwinder *u, struct process *process, struct walk *w)
{
	uint64_t address = step_lookup(&w->step);
	const struct process_map *map = process_find_map(process, address);

	if (!map || !map->module)
		return false;
	w->module = process_open_module(u->processes, process, map);
	if (!w->module)
		return false;
	w->offset = address;
	if (w->module->kind != MODULE_JIT)
		w->offset += map->file_offset - map->start;
	return true;
}

/* The current frame's row, out of the cache or the module. NULL: the module's
 * unwind information is not to be had; not remembered, for that may change. */
static const struct row_entry *find_row(struct unwinder *u, struct walk *w)
{
	const struct row_entry *entry;
	const struct cfi_module *cfi;
	struct cfi_row row;
	uint64_t vaddr;
	int r;

	entry = row_cache_find(u->rows, w->module->id, w->offset);
	if (entry)
		return entry;
	if (!module_offset_to_vaddr(w->module, w->offset, &vaddr))
		return NULL;
	cfi = module_cfi(u->modules, w->module);
	if (!cfi && w->module->go_table.bytes == 0)
		return NULL;
	w->work += cfi && !cfi->hdr ? WORK_SCAN : WORK_LOOKUP;
	if (w->work > WORK_A_WALK)
		return NULL;
	r = cfi ? cfi_find_row(cfi, vaddr, &row) : -ENOENT;
	if (r == -ENOENT && w->module->go_table.bytes > 0) {
		w->work += WORK_GO;
		r = go_table_find_row(w->module, vaddr, &row);
	}
	return row_cache_add(u->rows, w->module->id, w->offset, r, &row);
}

static int step_by_libunwind(struct unwinder *u, struct walk *w)
{
	const struct cfi_module *cfi = module_cfi(u->modules, w->module);
	uint64_t vaddr;
	int r;

	if (!cfi || !module_offset_to_vaddr(w->module, w->offset, &vaddr))
		return -ENOTSUP;
	w->work += WORK_LIBUNWIND;
	r = remote_step(u->remote, cfi, step_lookup(&w->step) - vaddr, &w->step);
	if (r == 0)
		u->stats.steps_libunwind++;
	return r;
}

/* Where nothing is known of a function, its frame pointer may be one. */
static int step_by_chain(struct unwinder *u, struct walk *w)
{
	struct step next = w->step;
	int r;

	r = step_by_frame_pointer(&next);
	if (r < 0)
		return r;
	if (next.regs[UNWIND_RIP] != 0 && !process_find_map(w->process, step_lookup(&next)))
		return -EFAULT;
	w->step = next;
	u->stats.steps_frame_pointer++;
	return 0;
}

static bool on_stack(const struct step *s)
{
	uint64_t at = s->regs[UNWIND_RSP] - s->stack_base;

	return s->regs[UNWIND_RSP] >= s->stack_base && at < s->stack_bytes;
}

/* Why a walk ends at a step that failed with @error: what lies beyond the copy,
 * or on a stack that was never copied, is no fault of the target's. */
static enum unwind_end end_of(const struct walk *w, int error, enum unwind_end otherwise)
{
	if (w->left_stack)
		return UNWIND_OTHER_STACK;
	if (error == -EINVAL)
		return UNWIND_NO_REG;
	return error == -ENODATA ? UNWIND_COPY : otherwise;
}

/* Whether this is a frame that nobody called, such as the loader's _start: the
 * ABI's mark is a frame pointer of 0. At a program's first instruction, where the
 * mark is not made yet, the kernel has cleared all registers. */
static bool is_outermost(const struct step *s)
{
	uint64_t any = s->regs[UNWIND_RBP];

	if (!(s->known & 1u << UNWIND_RBP))
		return false;
	if (s->exact)
		for (unsigned reg = UNWIND_R12; reg <= UNWIND_R15; reg++)
			any |= s->regs[reg];
	return any == 0 && (!s->exact || s->regs[UNWIND_RBX] == 0);
}

/* Goes on without a row. True, or false and why the walk is over. */
static bool leave_without_row(struct unwinder *u, struct walk *w, enum unwind_end *ret_end)
{
	int r;

	if (is_outermost(&w->step)) {
		*ret_end = UNWIND_COMPLETE;
		return false;
	}
	r = step_by_chain(u, w);
	if (r == 0)
		return true;
	*ret_end = end_of(w, r, UNWIND_NO_CFI);
	return false;
}

static bool is_code(uint64_t address, void *userdata)
{
	const struct process *process = userdata;

	return process_find_map(process, address);
}

static int step_by_entry(struct unwinder *u, struct walk *w, const struct cfi_row *row)
{
	int r = step_by_row(&w->step, row);

	if (r == 0) {
		u->stats.steps_row++;
	} else if (r == -ENODATA && search_is_needed(&w->step, row)) {
		r = search_step(&w->step, row, is_code, (void *)w->process);
		u->stats.steps_search += r == 0;
	}
	return r;
}

/* Goes from the current frame to its caller's. True, or false and why the walk is over. */
static bool leave_frame(struct unwinder *u, struct walk *w, struct frame *frame,
			enum unwind_end *ret_end)
{
	const struct row_entry *entry;
	int r;

	if (w->module->kind != MODULE_FILE && w->module->kind != MODULE_VDSO)
		return leave_without_row(u, w, ret_end);
	entry = find_row(u, w);
	/* In a system call the next instruction is meant, which may be another
	 * function's: rt_sigreturn does not return. */
	if (w->step.exact && entry && entry->result == -ENOENT) {
		w->offset--;
		entry = find_row(u, w);
		w->offset++;
	}
	if (w->work > WORK_A_WALK) {
		*ret_end = UNWIND_WORK;
		return false;
	}
	if (!entry || (entry->result < 0 && entry->result != -ENOTSUP && entry->result != -EXDEV))
		return leave_without_row(u, w, ret_end);
	if (entry->result == -EXDEV) {
		*ret_end = UNWIND_OTHER_STACK;
		return false;
	}
	if (entry->result == 0 && entry->row.kind == CFI_ROW_END) {
		*ret_end = UNWIND_COMPLETE;
		return false;
	}

	if (entry->result < 0 || entry->row.kind == CFI_ROW_EXPRESSION) {
		r = step_by_libunwind(u, w);
		if (r == -ENOTSUP || r == -EBADMSG)
			return leave_without_row(u, w, ret_end);
	} else {
		/* The kernel's return address is no call's. */
		if (entry->row.kind == CFI_ROW_SIGNAL && !w->step.exact)
			frame->offset++;
		r = step_by_entry(u, w, &entry->row);
	}
	if (r < 0) {
		*ret_end = end_of(w, r, UNWIND_BROKEN);
		return false;
	}
	if (w->step.exact && !on_stack(&w->step))
		w->left_stack = true;
	return true;
}

void unwind_set_regs(struct unwind_input *in, const struct user_regs_struct *r)
{
	const uint64_t regs[UNWIND_REG_N] = {
		[UNWIND_RAX] = r->rax, [UNWIND_RBX] = r->rbx, [UNWIND_RCX] = r->rcx,
		[UNWIND_RDX] = r->rdx, [UNWIND_RSI] = r->rsi, [UNWIND_RDI] = r->rdi,
		[UNWIND_RBP] = r->rbp, [UNWIND_RSP] = r->rsp, [UNWIND_RIP] = r->rip,
		[UNWIND_R8] = r->r8,   [UNWIND_R9] = r->r9,   [UNWIND_R10] = r->r10,
		[UNWIND_R11] = r->r11, [UNWIND_R12] = r->r12, [UNWIND_R13] = r->r13,
		[UNWIND_R14] = r->r14, [UNWIND_R15] = r->r15,
	};

	memcpy(in->regs, regs, sizeof(regs));
	in->unknown = 0;
}

size_t unwinder_walk(struct unwinder *u, const struct unwind_input *in, struct frame *frames,
		     size_t room, enum unwind_end *ret_end)
{
	struct walk w = {
		.process = in->process,
		.step =
			{
				.known = STEP_KNOWN_ALL & ~in->unknown,
				.exact = true,
				.stack = in->stack,
				.stack_base = in->regs[UNWIND_RSP],
				.stack_bytes = in->stack_bytes,
			},
	};
	enum unwind_end end = UNWIND_DEPTH;
	size_t n = 0;

	memcpy(w.step.regs, in->regs, sizeof(w.step.regs));
	room = min(room, (size_t)PROFD_MAX_USER_FRAMES);
	while (n < room) {
		struct frame *frame = &frames[n];

		if (n > 0 && w.step.regs[UNWIND_RIP] == 0) {
			end = UNWIND_COMPLETE;
			break;
		}
		if (!locate(u, in->process, &w)) {
			if (n == 0) /* at least where it is */
				frames[n++] = (struct frame){.offset = in->regs[UNWIND_RIP]};
			end = UNWIND_NO_MAP;
			break;
		}
		*frame = (struct frame){.module = w.module->id, .offset = w.offset};
		n++;
		if (!leave_frame(u, &w, frame, &end))
			break;
	}
	u->stats.ends[end]++;
	*ret_end = end;
	return n;
}

void unwinder_stats(const struct unwinder *u, struct unwind_stats *ret_stats)
{
	*ret_stats = u->stats;
}

const char *unwind_end_note(enum unwind_end end)
{
	switch (end) {
	case UNWIND_COPY:
		return "[truncated: stack copy]";
	case UNWIND_OTHER_STACK:
		return "[truncated: other stack]";
	case UNWIND_DEPTH:
		return "[truncated: depth]";
	case UNWIND_NO_REG:
		return "[truncated: register not known]";
	case UNWIND_NO_MAP:
		return "[truncated: no mapping]";
	case UNWIND_NO_CFI:
		return "[truncated: no call-frame information]";
	case UNWIND_BROKEN:
		return "[truncated: broken stack]";
	case UNWIND_WORK:
		return "[truncated: too much work]";
	case UNWIND_COMPLETE:
	case UNWIND_END_N:
		break;
	}
	return NULL;
}
