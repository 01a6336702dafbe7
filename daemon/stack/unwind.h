/*
 * Unwinding one CPU sample: registers and a copy of the top of the stack, in a
 * process whose mappings are known. Most steps take a call-frame row
 * (proto/cfi.h), cached by (module, offset); libunwind, with accessors that see
 * only the copy and the module's file, takes what a row cannot say. Where there
 * is no call-frame information, Go's own table, or else the frame pointer, inside
 * the copy's bounds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/process.h"
#include "daemon/proc/sample.h"

/* Registers as perf samples them, in the order of enum unwind_reg. */
enum unwind_reg {
	UNWIND_RAX,
	UNWIND_RBX,
	UNWIND_RCX,
	UNWIND_RDX,
	UNWIND_RSI,
	UNWIND_RDI,
	UNWIND_RBP,
	UNWIND_RSP,
	UNWIND_RIP,
	UNWIND_R8,
	UNWIND_R9,
	UNWIND_R10,
	UNWIND_R11,
	UNWIND_R12,
	UNWIND_R13,
	UNWIND_R14,
	UNWIND_R15,
	UNWIND_REG_N,
};

/* What a thread that sleeps keeps in registers is not to be had: all but these two. */
#define UNWIND_ASLEEP_UNKNOWN                                                                      \
	(((1u << UNWIND_REG_N) - 1) & ~(1u << UNWIND_RSP) & ~(1u << UNWIND_RIP))

/* The matching bits for perf_event_attr.sample_regs_user, x86-64. */
extern const uint64_t unwind_perf_regs;

struct unwind_input {
	struct process *process;
	uint64_t regs[UNWIND_REG_N];
	uint32_t unknown;     /* of these, as bits: a frame that needs one ends the walk */
	const uint8_t *stack; /* copied from regs[UNWIND_RSP] upwards; any alignment */
	size_t stack_bytes;
};

struct user_regs_struct;
void unwind_set_regs(struct unwind_input *in, const struct user_regs_struct *regs); /* ptrace's */

enum unwind_end {		      /* why a walk ended */
		  UNWIND_COMPLETE,    /* reached the thread's or program's first frame */
		  UNWIND_COPY,	      /* the copy of the stack ended, or lacks what lay below it */
		  UNWIND_OTHER_STACK, /* went on to a stack that was not copied: signals', Go's */
		  UNWIND_DEPTH,	      /* PROFD_MAX_USER_FRAMES */
		  UNWIND_NO_REG,      /* needs a register that is not known */
		  UNWIND_NO_MAP,      /* an address in no mapping */
		  UNWIND_NO_CFI,      /* no call-frame information, and no frame pointer chain */
		  UNWIND_BROKEN,      /* malformed information, or a stack that does not grow */
		  UNWIND_WORK, /* rows that are dear to find, more than one walk may look for */
		  UNWIND_END_N,
};

struct unwinder;

int unwinder_new(struct process_table *processes, struct module_table *modules,
		 struct unwinder **ret_unwinder);
void unwinder_free(struct unwinder *u);

/* Fills @frames (leaf first), at most @room and at most PROFD_MAX_USER_FRAMES. Never fails: what
 * could not be walked is said by *ret_end. Returns the number of frames. */
size_t unwinder_walk(struct unwinder *u, const struct unwind_input *in, struct frame *frames,
		     size_t room, enum unwind_end *ret_end);

struct unwind_stats {
	uint64_t ends[UNWIND_END_N];
	uint64_t steps_row, steps_libunwind, steps_frame_pointer;
	uint64_t steps_search; /* of a stack pointer kept below the copy (search.h) */
};
void unwinder_stats(const struct unwinder *u, struct unwind_stats *ret_stats);

/* What stands in the profile for the callers that are missing: a text in brackets,
 * "[truncated: stack copy]". NULL: none are. */
const char *unwind_end_note(enum unwind_end end);
