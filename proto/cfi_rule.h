/*
 * Rules: where one row says that the CFA and the registers are, in a form small
 * enough to be kept several times over on a signal stack. proto/cfi_code.c
 * sets them as a program says, and a finished set becomes a row. For proto/cfi*.c
 * only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/cfi.h"
#include "proto/cfi_read.h"

enum cfi_slot { /* the registers whose rules are kept: those a caller relies on */
		SLOT_RBX,
		SLOT_RBP,
		SLOT_RSP,
		SLOT_R12,
		SLOT_R13,
		SLOT_R14,
		SLOT_R15,
		SLOT_RA,
		SLOT_N,
};

enum cfi_rule { /* at most 8: see struct cfi_rules */
		RULE_SAME,
		RULE_UNDEFINED,
		RULE_CFA, /* saved at CFA + offset */
		RULE_RBP, /* saved at rbp + offset */
		RULE_RSP, /* saved at rsp + offset */
		RULE_OTHER,
};

enum cfi_cfa_rule {
	CFA_NONE,
	CFA_OFFSET, /* reg + offset */
	CFA_DEREF,  /* *(reg + offset) + add */
	CFA_PLT,    /* add: the first byte of a 16-byte entry with the push behind it */
	CFA_OTHER,
};

/* Registers are saved at multiples of 8, so a rule fits below its offset. */
#define RULE_MASK 7

struct cfi_rules {
	int16_t slots[SLOT_N]; /* offset | rule */
	uint8_t cfa_rule, cfa_reg;
	int16_t cfa_add;
	int32_t cfa_offset;
};

/* Registers that no caller relies on are ignored, what does not fit is OTHER. */
void cfi_set_rule(struct cfi_rules *s, uint64_t reg, enum cfi_rule rule, int64_t offset);
void cfi_copy_rule(struct cfi_rules *s, uint64_t reg, const struct cfi_rules *from);
void cfi_set_cfa(struct cfi_rules *s, enum cfi_cfa_rule rule, uint64_t reg, int64_t offset,
		 int64_t add);

/* The same, of an expression's bytes. */
void cfi_set_rule_expression(struct cfi_rules *s, uint64_t reg, const uint8_t *expression,
			     uint64_t bytes);
void cfi_set_cfa_expression(struct cfi_rules *s, const uint8_t *expression, uint64_t bytes);

/* Fills all of the row but start and end. Returns 0, or -EBADMSG: no CFA. */
int cfi_rules_row(const struct cfi_rules *s, bool signal, struct cfi_row *ret_row);
