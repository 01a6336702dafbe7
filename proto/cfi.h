/*
 * Call-frame rows out of .eh_frame.
 *
 * Given the bytes of a module's .eh_frame_hdr and .eh_frame, answers one
 * question: for code at this address, where are the caller's registers? Used
 * by the preload client on its own mapped modules and by the daemon on copies
 * of other people's files, so it trusts no byte: every read is bounded, the
 * work per question is bounded (CFI_MAX_OPS), and nothing is allocated. Needs
 * libc's headers only.
 *
 * Sources: the DWARF 5 standard, section 6.4; the Linux Standard Base, "Exception
 * Frames"; the x86-64 psABI for register numbers. x86-64 only; another
 * machine is another table of register numbers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CFI_MAX_OPS	 4096  /* call-frame instructions looked at for one row */
#define CFI_MAX_SCAN	 65536 /* records looked at where there is no search table */
#define CFI_MAX_REMEMBER 3     /* states that a function's program keeps at once */

/* DWARF register numbers of x86-64 that a row can speak of. */
enum cfi_reg {
	CFI_RAX = 0,
	CFI_RBX = 3,
	CFI_RBP = 6,
	CFI_RSP = 7,
	CFI_R10 = 10,
	CFI_R12 = 12,
	CFI_R13 = 13,
	CFI_R14 = 14,
	CFI_R15 = 15,
	CFI_RA = 16,
	CFI_REG_N = 17,
};

/* One module's unwind information: bytes that stay the caller's, and the
 * addresses, in the ELF file's own terms, that they are linked to. */
struct cfi_module {
	const uint8_t *hdr; /* .eh_frame_hdr; NULL: none, eh_frame is searched in line */
	uint64_t hdr_bytes;
	uint64_t hdr_vaddr;
	const uint8_t *eh_frame;
	uint64_t eh_frame_bytes;
	uint64_t eh_frame_vaddr;
};

enum cfi_kind {
	CFI_ROW_OFFSET, /* CFA = reg + cfa_offset */
	CFI_ROW_DEREF,	/* CFA = *(reg + cfa_offset): realigned stacks */
	CFI_ROW_PLT,	/* CFA = rsp + cfa_offset (8) + ((rip & 15) >= plt_from ? 8 : 0) */
	CFI_ROW_SIGNAL, /* a signal frame: registers lie in the ucontext, see cfi_signal_offset() */
	CFI_ROW_END,	/* the return address is undefined: the outermost frame */
	CFI_ROW_EXPRESSION, /* anything else: the caller needs a full DWARF machine */
	CFI_ROW_ALIGNED,    /* see struct cfi_row: frames that realign the stack */
};

/*
 * Where a caller's callee-saved register lies, as an offset to the CFA; 0:
 * unchanged. The return address is always at CFA + ra_offset, the caller's
 * stack pointer is the CFA.
 *
 * CFI_ROW_ALIGNED is the row of a function that moved its frame to a larger
 * alignment (gcc), or keeps its caller's stack pointer in a slot (assembly):
 *	CFA = (cfa_deref ? *(reg + cfa_offset) : reg + cfa_offset) + cfa_add
 * and a register whose bit (1 << CFI_RBX...) is set in from_rbp lies at its
 * offset to this frame's own rbp, where 0 is an offset like any other. In the
 * other kinds these three fields are 0.
 */
struct cfi_row {
	uint8_t kind;
	uint8_t cfa_reg; /* < CFI_RA. Any register: the caller may not know its value */
	uint8_t plt_from;
	int8_t ra_offset; /* -8 in practice */
	int32_t cfa_offset;
	int32_t rbx, rbp, r12, r13, r14, r15;
	uint16_t from_rbp;
	bool cfa_deref;
	int32_t cfa_add;
	uint64_t start, end; /* the row holds for start <= address < end (ELF addresses) */
};

/*
 * Finds the row for @vaddr. For a return address pass the address minus one.
 *
 * Returns 0 and fills *ret_row; -ENOENT: no FDE covers the address; -EBADMSG:
 * malformed; -ENOTSUP: well formed, but of a version or encoding not known, or
 * beyond the limits above. *ret_row is untouched on failure.
 */
int cfi_find_row(const struct cfi_module *module, uint64_t vaddr, struct cfi_row *ret_row);

/* For a caller that only has .eh_frame_hdr's mapped address: fills a cfi_module
 * from a header in memory. Reads reach from @hdr - @before_bytes to @hdr +
 * @limit_bytes: the distances to the ends of the mapping. Returns 0, or -EBADMSG or
 * -ENOTSUP as above. */
int cfi_module_from_hdr(const uint8_t *hdr, uint64_t hdr_vaddr, uint64_t before_bytes,
			uint64_t limit_bytes, struct cfi_module *ret_module);

/* Offset from the stack pointer, at a row of CFI_ROW_SIGNAL, of the saved value
 * of @reg (CFI_RA: the interrupted instruction); -1: not saved. */
int cfi_signal_offset(enum cfi_reg reg);
