/*
 * The stack walker: the calling thread's own stack, from inside malloc.
 *
 * walk.c goes from frame to frame, finds rows and caches them; walk-MACHINE.c
 * knows registers, the stack's bounds and how a row is applied. No system call,
 * no lock, no allocation, and every word is read inside the thread's stack.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/preload/modules.h"
#include "proto/cfi.h"

#define WALK_CACHE_BYTES (8192 * 16) /* of session.rows */

/* ---- for the sampler */

struct walk_summary {
	uint64_t hash;	   /* of all that follows, and of the frames */
	uint16_t n_frames; /* at most PROFD_MAX_FRAMES */
	uint8_t flags;	   /* enum heap_stack_flag */
};

/*
 * Walks from the caller of the interposed function outwards: frames of this
 * library are left out. It begins where @regs are of (enum walk_reg), in a frame
 * that still exists. The first @capacity frames (HEAP_FRAME) go to @ret_frames,
 * which may be NULL if that is 0; the summary tells of all.
 */
void walk_stack(const uint64_t *regs, uint64_t *ret_frames, uint32_t capacity,
		struct walk_summary *ret_summary);

/* The same from the instruction that a signal interrupted: @context is what its
 * handler was given. Frames of this library are not left out. (The summary comes in
 * registers: a handler has little stack.) */
struct walk_summary walk_interrupted(const void *context, uint64_t *ret_frames, uint32_t capacity);

/* ---- between walk.c and walk-MACHINE.c */

enum walk_status {
	WALK_STEPPED,
	WALK_COMPLETE, /* this was the thread's first frame */
	WALK_BROKEN,   /* the caller cannot be found */
};

enum walk_reg { /* those that a function gives back to its caller as they were */
		WALK_RBX,
		WALK_RBP,
		WALK_RSP,
		WALK_R12,
		WALK_R13,
		WALK_R14,
		WALK_R15,
		WALK_PC,
		WALK_REG_N,
};

struct walk {
	uint64_t regs[WALK_REG_N];
	uint64_t top;	/* the stack's end, as far as it is known */
	bool bounded;	/* top is the thread's; else a guess for one step */
	bool exact;	/* the pc is an instruction, not a return address */
	bool in_module; /* module holds the pc */
	struct module *module;
	struct module modules[2]; /* calls go back and forth between modules */
};

void walk_begin(struct walk *w, const uint64_t *regs);
void walk_begin_interrupted(struct walk *w, const void *context);

/* To the caller, by @row; or where there is no call-frame information. */
enum walk_status walk_step(struct walk *w, const struct cfi_row *row);

/* The same for most rows: the CFA is so far from rsp or rbp, and @saved has six
 * fields of WALK_SAVED_BITS: how many words below the CFA rbx, rbp, and r12 to r15
 * were saved; 0: they were not. */
#define WALK_SAVED_BITS 5
enum walk_status walk_step_common(struct walk *w, bool from_rbp, int32_t cfa_offset,
				  uint64_t saved);
enum walk_status walk_step_frame_pointer(struct walk *w);
