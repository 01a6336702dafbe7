/*
 * Between proto/cfi.c, which finds the records that cover an address, and
 * proto/cfi_code.c, which runs their call-frame programs. For no one else.
 */
#pragma once

#include <stdint.h>

#include "proto/cfi.h"
#include "proto/cfi_read.h"

struct cfi_cie {
	uint32_t code_align;
	int64_t data_align;
	uint8_t fde_encoding;
	bool has_augmentation; /* FDEs carry a length of augmentation data, too */
	bool signal;
	struct cfi_cursor code;
};

struct cfi_fde {
	uint64_t start, end; /* the code it covers */
	struct cfi_cie cie;
	struct cfi_cursor code;
};

/* Reads an address of @encoding (DW_EH_PE_*). Returns 0, -EBADMSG, or -ENOTSUP. */
int cfi_read_encoded(struct cfi_cursor *c, uint8_t encoding, uint64_t datarel, uint64_t *ret_value);

/* Runs @fde's program up to @vaddr, which it covers; the cursors of @fde move.
 * Returns as cfi_find_row(). */
int cfi_code_run(struct cfi_fde *fde, uint64_t vaddr, struct cfi_row *ret_row);
