/*
 * Finding a caller's stack pointer where its known place lies below the copy of
 * the stack. For the files of this room only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/stack/step.h"

/* Whether @row takes the CFA from a word below the stack pointer. */
bool search_is_needed(const struct step *s, const struct cfi_row *row);

/* Goes to the caller as step_by_row() would. @is_code: can a call have come from
 * this address? Returns 0, or -ENODATA and leaves *s alone. */
int search_step(struct step *s, const struct cfi_row *row,
		bool (*is_code)(uint64_t address, void *userdata), void *userdata);
