/*
 * One step from a frame to its caller, on registers and a copy of the stack.
 * For the files of this room only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/stack/unwind.h"
#include "proto/cfi.h"

/* A frame being stood in. */
struct step {
	uint64_t regs[UNWIND_REG_N];
	uint32_t known; /* registers, as bits, whose values are this frame's */
	bool exact;	/* RIP is an instruction to be run, not a return address */

	const uint8_t *stack;
	uint64_t stack_base; /* address of stack[0] */
	size_t stack_bytes;
};

#define STEP_KNOWN_ALL	((1u << UNWIND_REG_N) - 1)
#define STEP_KNOWN_KEPT /* those that a function keeps for its caller */                           \
	(1u << UNWIND_RBX | 1u << UNWIND_RBP | 1u << UNWIND_RSP | 1u << UNWIND_RIP |               \
	 1u << UNWIND_R12 | 1u << UNWIND_R13 | 1u << UNWIND_R14 | 1u << UNWIND_R15)

/* Which register DWARF means by @dwarf_reg (< CFI_REG_N). */
enum unwind_reg step_reg(unsigned dwarf_reg);

/* The address to look up: inside the call that a return address follows. */
static inline uint64_t step_lookup(const struct step *s)
{
	return s->regs[UNWIND_RIP] - (s->exact ? 0 : 1);
}

/*
 * Each of these goes to the caller and returns 0, or leaves *s alone and returns
 * -ENODATA: the copy of the stack does not hold what would have to be read;
 * -EFAULT: an address that cannot be this stack's, or a caller that would not
 * lie above its callee; -EINVAL: the row needs a register that is not known.
 */
int step_by_row(struct step *s, const struct cfi_row *row);
int step_by_frame_pointer(struct step *s);
/* As step_by_row(), where the CFA was found in another way. */
int step_to_cfa(struct step *s, const struct cfi_row *row, uint64_t cfa);

/* A word of the stack; 0, -ENODATA or -EFAULT. */
int step_read(const struct step *s, uint64_t address, uint64_t *ret_value);

/* True if @s is what the caller of a frame whose stack pointer was @callee_sp can be. */
bool step_goes_up(const struct step *s, uint64_t callee_sp);
