/*
 * OpenSSL's assembly for SHA-1 and SHA-2 with AVX2 moves its stack pointer in its
 * loop and pushes a copy of the caller's along just below it, in the red zone.
 * The kernel copies what lies above the stack pointer, so the word that the
 * call-frame row names is never there. But the function stored the same value
 * when it made its frame, somewhere above. That slot is looked for: a word that
 * points up the stack to a return address, with the CFA aligned as the ABI has it.
 *
 * Of up to SEARCH_BYTES / 8 words each is read once, and only one that points into the
 * rest of the copy is looked at more closely.
 */
#include "daemon/stack/search.h"

#include <errno.h>

#include "profd/base.h"

#define SEARCH_BYTES 8192 /* the largest such frame has 2 KiB, and as much again to be aligned */

bool search_is_needed(const struct step *s, const struct cfi_row *row)
{
	return (row->kind == CFI_ROW_DEREF || row->cfa_deref) && row->cfa_reg == CFI_RSP &&
	       row->cfa_offset < 0 && s->regs[UNWIND_RSP] == s->stack_base;
}

int search_step(struct step *s, const struct cfi_row *row,
		bool (*is_code)(uint64_t address, void *userdata), void *userdata)
{
	for (uint64_t at = 0; at < SEARCH_BYTES; at += 8) {
		uint64_t slot = s->stack_base + at, value, cfa, return_address;

		if (step_read(s, slot, &value) < 0)
			break;
		cfa = value + (uint64_t)(int64_t)row->cfa_add;
		if (value <= slot || cfa % 16 != 0 ||
		    step_read(s, cfa + (uint64_t)(int64_t)row->ra_offset, &return_address) < 0)
			continue;
		if (is_code(return_address - 1, userdata) && step_to_cfa(s, row, cfa) == 0)
			return 0;
	}
	return -ENODATA;
}
