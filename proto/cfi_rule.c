/*
 * Rules into rows.
 *
 * DWARF can compute the CFA and the place of a register by any expression.
 * Compilers, linkers and the C library write a handful of them; those are
 * recognised by their bytes and never evaluated. Every other rule is
 * remembered as OTHER, and a row that needs one is CFI_ROW_EXPRESSION, for a
 * full DWARF machine. Offsets that do not fit are OTHER too, so nothing wraps.
 */
#include "proto/cfi_rule.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

enum { /* DW_OP_* that are recognised */
       EXPR_DEREF = 0x06,
       EXPR_PLUS_UCONST = 0x23,
       EXPR_BREG0 = 0x70,
};

static int slot_of(uint64_t reg)
{
	switch (reg) {
	case CFI_RBX:
		return SLOT_RBX;
	case CFI_RBP:
		return SLOT_RBP;
	case CFI_RSP:
		return SLOT_RSP;
	case CFI_R12:
		return SLOT_R12;
	case CFI_R13:
		return SLOT_R13;
	case CFI_R14:
		return SLOT_R14;
	case CFI_R15:
		return SLOT_R15;
	case CFI_RA:
		return SLOT_RA;
	default:
		return -1; /* a register that no caller relies on */
	}
}

static enum cfi_rule slot_rule(const struct cfi_rules *s, unsigned slot)
{
	return (enum cfi_rule)(s->slots[slot] & RULE_MASK);
}

static int slot_offset(const struct cfi_rules *s, unsigned slot)
{
	return s->slots[slot] & ~RULE_MASK;
}

void cfi_set_rule(struct cfi_rules *s, uint64_t reg, enum cfi_rule rule, int64_t offset)
{
	int slot = slot_of(reg);

	if (slot < 0)
		return;
	if (offset < INT16_MIN || offset > INT16_MAX || (offset & RULE_MASK)) {
		rule = RULE_OTHER;
		offset = 0;
	}
	s->slots[slot] = (int16_t)(offset | rule);
}

void cfi_set_cfa(struct cfi_rules *s, enum cfi_cfa_rule rule, uint64_t reg, int64_t offset,
		 int64_t add)
{
	if (reg >= CFI_RA || offset < INT32_MIN || offset > INT32_MAX || add < INT16_MIN ||
	    add > INT16_MAX)
		rule = CFA_OTHER;
	s->cfa_rule = (uint8_t)rule;
	s->cfa_reg = reg < CFI_RA ? (uint8_t)reg : 0;
	s->cfa_offset = rule == CFA_OTHER ? 0 : (int32_t)offset;
	s->cfa_add = rule == CFA_OTHER ? 0 : (int16_t)add;
}

/* What the linker says of its PLT: entries of 16 bytes, in which from byte N on
 * (11, or 10 with indirect-branch tracking) one more word has been pushed.
 *	breg7 8; breg16 0; lit15; and; litN; ge; lit3; shl; plus */
static bool is_plt(const uint8_t *expression, uint64_t bytes, uint8_t *ret_from)
{
	static const uint8_t plt[] = {0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x30, 0x2a, 0x33, 0x24, 0x22};

	if (bytes != sizeof(plt))
		return false;
	for (unsigned i = 0; i < sizeof(plt); i++)
		if (expression[i] != plt[i] && i != 6)
			return false;
	if (expression[6] < 0x30 || expression[6] > 0x3f)
		return false;
	*ret_from = expression[6] - 0x30;
	return true;
}

/* breg X [deref [plus_uconst Y]] */
void cfi_set_cfa_expression(struct cfi_rules *s, const uint8_t *expression, uint64_t bytes)
{
	struct cfi_cursor block = {.at = expression, .end = expression + bytes};
	int64_t offset;
	uint64_t add = 0;
	uint8_t op, from;

	if (is_plt(expression, bytes, &from)) {
		cfi_set_cfa(s, CFA_PLT, CFI_RSP, 8, from);
		return;
	}
	cfi_set_cfa(s, CFA_OTHER, 0, 0, 0);
	op = cfi_u8(&block);
	offset = cfi_sleb(&block);
	if (block.bad || op < EXPR_BREG0 || op >= EXPR_BREG0 + CFI_RA)
		return;
	if (cfi_left(&block) == 0) {
		cfi_set_cfa(s, CFA_OFFSET, op - EXPR_BREG0, offset, 0);
		return;
	}
	if (cfi_u8(&block) != EXPR_DEREF)
		return;
	if (cfi_left(&block) > 0 && cfi_u8(&block) == EXPR_PLUS_UCONST)
		add = cfi_uleb(&block);
	if (cfi_left(&block) == 0 && !block.bad && add <= INT16_MAX)
		cfi_set_cfa(s, CFA_DEREF, op - EXPR_BREG0, offset, (int64_t)add);
}

/* "Saved at rbp + X" is how gcc describes a frame that it realigned; "at rsp +
 * X" is the C library's signal frame. */
void cfi_set_rule_expression(struct cfi_rules *s, uint64_t reg, const uint8_t *expression,
			     uint64_t bytes)
{
	struct cfi_cursor block = {.at = expression, .end = expression + bytes};
	uint8_t op = cfi_u8(&block);
	int64_t offset = cfi_sleb(&block);
	enum cfi_rule rule = RULE_OTHER;

	if (!block.bad && cfi_left(&block) == 0) {
		if (op == EXPR_BREG0 + CFI_RBP)
			rule = RULE_RBP;
		else if (op == EXPR_BREG0 + CFI_RSP)
			rule = RULE_RSP;
	}
	cfi_set_rule(s, reg, rule, offset);
}

void cfi_copy_rule(struct cfi_rules *s, uint64_t reg, const struct cfi_rules *from)
{
	int slot = slot_of(reg);

	if (slot >= 0)
		s->slots[slot] = from->slots[slot];
}

/* The kernel leaves the stack pointer at a ucontext when a handler returns. */
int cfi_signal_offset(enum cfi_reg reg)
{
	static const uint8_t gregs[CFI_REG_N] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
		REG_R9,	 REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};

	if ((unsigned)reg >= CFI_REG_N)
		return -1;
	return (int)(offsetof(ucontext_t, uc_mcontext.gregs) + gregs[reg] * sizeof(greg_t));
}

/* A signal frame as the C library describes it: every register at its place in
 * the ucontext. Another description of a signal frame is an expression. */
static bool is_ucontext(const struct cfi_rules *s)
{
	static const uint8_t regs[SLOT_N] = {
		CFI_RBX, CFI_RBP, CFI_RSP, CFI_R12, CFI_R13, CFI_R14, CFI_R15, CFI_RA,
	};

	for (unsigned i = 0; i < SLOT_N; i++)
		if (slot_rule(s, i) != RULE_RSP || slot_offset(s, i) != cfi_signal_offset(regs[i]))
			return false;
	return true;
}

/* True if every register's rule can be said in a row. */
static bool is_plain(const struct cfi_rules *s)
{
	enum cfi_rule sp = slot_rule(s, SLOT_RSP), rule;
	int ra_offset = slot_offset(s, SLOT_RA);

	if (s->cfa_rule == CFA_OTHER || (sp != RULE_SAME && sp != RULE_UNDEFINED))
		return false;
	if (slot_rule(s, SLOT_RA) != RULE_CFA || ra_offset < INT8_MIN || ra_offset > INT8_MAX)
		return false;
	for (unsigned i = 0; i < SLOT_RA; i++) {
		rule = slot_rule(s, i);
		if (rule == RULE_RSP || rule == RULE_OTHER)
			return false;
		if (rule == RULE_CFA && slot_offset(s, i) == 0) /* would read as unchanged */
			return false;
		if (rule == RULE_RBP && s->cfa_rule == CFA_PLT)
			return false;
	}
	return true;
}

static int32_t saved_at(const struct cfi_rules *s, enum cfi_slot slot, enum cfi_reg reg,
			uint16_t *from_rbp)
{
	if (slot_rule(s, slot) == RULE_RBP)
		*from_rbp |= (uint16_t)(1u << reg);
	return slot_offset(s, slot);
}

static void fill_plain(const struct cfi_rules *s, struct cfi_row *row)
{
	row->cfa_reg = s->cfa_reg;
	row->cfa_offset = s->cfa_offset;
	row->ra_offset = (int8_t)slot_offset(s, SLOT_RA);
	row->rbx = saved_at(s, SLOT_RBX, CFI_RBX, &row->from_rbp);
	row->rbp = saved_at(s, SLOT_RBP, CFI_RBP, &row->from_rbp);
	row->r12 = saved_at(s, SLOT_R12, CFI_R12, &row->from_rbp);
	row->r13 = saved_at(s, SLOT_R13, CFI_R13, &row->from_rbp);
	row->r14 = saved_at(s, SLOT_R14, CFI_R14, &row->from_rbp);
	row->r15 = saved_at(s, SLOT_R15, CFI_R15, &row->from_rbp);

	if (s->cfa_rule == CFA_PLT) {
		row->kind = CFI_ROW_PLT;
		row->plt_from = (uint8_t)s->cfa_add;
	} else if (row->from_rbp || s->cfa_add) {
		row->kind = CFI_ROW_ALIGNED;
		row->cfa_deref = s->cfa_rule == CFA_DEREF;
		row->cfa_add = s->cfa_add;
	} else {
		row->kind = s->cfa_rule == CFA_DEREF ? CFI_ROW_DEREF : CFI_ROW_OFFSET;
	}
}

int cfi_rules_row(const struct cfi_rules *s, bool signal, struct cfi_row *ret_row)
{
	struct cfi_row *row = ret_row;

	if (slot_rule(s, SLOT_RA) != RULE_UNDEFINED && s->cfa_rule == CFA_NONE)
		return -EBADMSG;
	*row = (struct cfi_row){.kind = CFI_ROW_EXPRESSION};
	if (slot_rule(s, SLOT_RA) == RULE_UNDEFINED)
		row->kind = CFI_ROW_END;
	else if (signal && is_ucontext(s))
		row->kind = CFI_ROW_SIGNAL;
	else if (is_plain(s))
		fill_plain(s, row);
	return 0;
}
