/*
 * Running call-frame programs.
 *
 * A function's program is a list of changes: "from here on the CFA is rsp+16,
 * rbp was saved at CFA-16". Running it up to an address leaves a rule for the
 * CFA and one for each register. Compilers use few of the rules that DWARF
 * has (proto/cfi_rule.c).
 *
 * Invariants: at most CFI_MAX_OPS instructions are looked at, CIE and FDE
 * together; no instruction leads backwards; the rules are small enough to be
 * kept CFI_MAX_REMEMBER + 2 times on a signal stack.
 */
#include "proto/cfi_code.h"

#include <errno.h>
#include <string.h>

#include "proto/cfi.h"
#include "proto/cfi_read.h"
#include "proto/cfi_rule.h"

enum { /* DW_CFA_*, DWARF 5 section 7.24; the first three hold an operand in their low six bits */
       OP_ADVANCE_LOC = 0x40,
       OP_OFFSET = 0x80,
       OP_RESTORE = 0xc0,
       OP_NOP = 0x00,
       OP_SET_LOC = 0x01,
       OP_ADVANCE_LOC1 = 0x02,
       OP_ADVANCE_LOC2 = 0x03,
       OP_ADVANCE_LOC4 = 0x04,
       OP_OFFSET_EXTENDED = 0x05,
       OP_RESTORE_EXTENDED = 0x06,
       OP_UNDEFINED = 0x07,
       OP_SAME_VALUE = 0x08,
       OP_REGISTER = 0x09,
       OP_REMEMBER_STATE = 0x0a,
       OP_RESTORE_STATE = 0x0b,
       OP_DEF_CFA = 0x0c,
       OP_DEF_CFA_REGISTER = 0x0d,
       OP_DEF_CFA_OFFSET = 0x0e,
       OP_DEF_CFA_EXPRESSION = 0x0f,
       OP_EXPRESSION = 0x10,
       OP_OFFSET_EXTENDED_SF = 0x11,
       OP_DEF_CFA_SF = 0x12,
       OP_DEF_CFA_OFFSET_SF = 0x13,
       OP_VAL_OFFSET = 0x14,
       OP_VAL_OFFSET_SF = 0x15,
       OP_VAL_EXPRESSION = 0x16,
       OP_GNU_ARGS_SIZE = 0x2e,
       OP_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

struct machine {
	const struct cfi_cie *cie;
	uint64_t target;    /* the address whose row is wanted */
	uint64_t loc, next; /* the row being built holds from loc on, and ends at next */
	unsigned ops;
	unsigned depth;
	bool initial_known;
	struct cfi_rules now, initial, kept[CFI_MAX_REMEMBER];
};

/* Operands that count in units of the CIE's data alignment. */
static int64_t factored(const struct machine *m, int64_t n)
{
	int64_t v;

	return __builtin_mul_overflow(n, m->cie->data_align, &v) ? INT64_MAX : v;
}

static int64_t factored_uleb(const struct machine *m, struct cfi_cursor *c)
{
	uint64_t n = cfi_uleb(c);

	return n > INT64_MAX ? INT64_MAX : factored(m, (int64_t)n);
}

/* An expression's bytes; the program moves on behind them. */
static const uint8_t *take_block(struct cfi_cursor *c, uint64_t *ret_bytes)
{
	uint64_t bytes = cfi_uleb(c);
	const uint8_t *block = c->at;

	cfi_skip(c, bytes);
	*ret_bytes = c->bad ? 0 : bytes;
	return block;
}

/* Moves to a later row. Returns 1 when that one begins behind the target. */
static int advance_to(struct machine *m, uint64_t loc)
{
	if (!m->initial_known || loc < m->loc)
		return -EBADMSG;
	if (loc > m->target) {
		m->next = loc < m->next ? loc : m->next;
		return 1;
	}
	m->loc = loc;
	return 0;
}

static int advance_by(struct machine *m, uint64_t delta)
{
	return advance_to(m, m->loc + delta * m->cie->code_align);
}

static int remember_state(struct machine *m)
{
	if (m->depth == CFI_MAX_REMEMBER)
		return -ENOTSUP;
	m->kept[m->depth++] = m->now;
	return 0;
}

static int restore_state(struct machine *m)
{
	if (m->depth == 0)
		return -EBADMSG;
	m->now = m->kept[--m->depth];
	return 0;
}

/* The instructions that say where the CFA is. */
static int run_cfa_op(struct machine *m, struct cfi_cursor *c, uint8_t op)
{
	struct cfi_rules *s = &m->now;
	uint64_t reg = s->cfa_reg;
	int64_t offset = s->cfa_offset;

	if (op == OP_DEF_CFA || op == OP_DEF_CFA_SF || op == OP_DEF_CFA_REGISTER)
		reg = cfi_uleb(c);
	if (op == OP_DEF_CFA || op == OP_DEF_CFA_OFFSET) {
		offset = (int64_t)cfi_uleb(c);
		offset = offset < 0 ? INT64_MAX : offset;
	} else if (op == OP_DEF_CFA_SF || op == OP_DEF_CFA_OFFSET_SF) {
		offset = factored(m, cfi_sleb(c));
	}
	/* Half a change makes sense only of a CFA that has both halves. */
	if (op != OP_DEF_CFA && op != OP_DEF_CFA_SF && s->cfa_rule != CFA_OFFSET)
		return -EBADMSG;
	cfi_set_cfa(s, CFA_OFFSET, reg, offset, 0);
	return 0;
}

static int run_cfa_expression(struct machine *m, struct cfi_cursor *c)
{
	uint64_t bytes;
	const uint8_t *block = take_block(c, &bytes);

	cfi_set_cfa_expression(&m->now, block, bytes);
	return 0;
}

/* The instructions that say where a register is. */
static int run_register_op(struct machine *m, struct cfi_cursor *c, uint8_t op)
{
	struct cfi_rules *s = &m->now;
	uint64_t reg = cfi_uleb(c), bytes;
	const uint8_t *block;

	switch (op) {
	case OP_OFFSET_EXTENDED:
		cfi_set_rule(s, reg, RULE_CFA, factored_uleb(m, c));
		return 0;
	case OP_OFFSET_EXTENDED_SF:
		cfi_set_rule(s, reg, RULE_CFA, factored(m, cfi_sleb(c)));
		return 0;
	case OP_GNU_NEGATIVE_OFFSET_EXTENDED:
		cfi_set_rule(s, reg, RULE_CFA, factored(m, -(int64_t)(cfi_uleb(c) & INT64_MAX)));
		return 0;
	case OP_RESTORE_EXTENDED:
		cfi_copy_rule(s, reg, &m->initial);
		return 0;
	case OP_UNDEFINED:
		cfi_set_rule(s, reg, RULE_UNDEFINED, 0);
		return 0;
	case OP_SAME_VALUE:
		cfi_set_rule(s, reg, RULE_SAME, 0);
		return 0;
	case OP_EXPRESSION:
		block = take_block(c, &bytes);
		cfi_set_rule_expression(s, reg, block, bytes);
		return 0;
	case OP_VAL_EXPRESSION:
		take_block(c, &bytes);
		cfi_set_rule(s, reg, RULE_OTHER, 0);
		return 0;
	case OP_REGISTER:
	case OP_VAL_OFFSET:
	case OP_VAL_OFFSET_SF:
		cfi_uleb(c); /* of either sign: only its length counts */
		cfi_set_rule(s, reg, RULE_OTHER, 0);
		return 0;
	default:
		return -ENOTSUP;
	}
}

static int run_set_loc(struct machine *m, struct cfi_cursor *c)
{
	uint64_t loc;
	int r;

	r = cfi_read_encoded(c, m->cie->fde_encoding, 0, &loc);
	return r < 0 ? r : advance_to(m, loc);
}

/* Runs one instruction. Returns 0; 1: the target's row is complete; -errno. */
static int run_op(struct machine *m, struct cfi_cursor *c)
{
	uint8_t op = cfi_u8(c), operand = op & 0x3f;

	switch (op & 0xc0) {
	case OP_ADVANCE_LOC:
		return advance_by(m, operand);
	case OP_OFFSET:
		cfi_set_rule(&m->now, operand, RULE_CFA, factored_uleb(m, c));
		return 0;
	case OP_RESTORE:
		cfi_copy_rule(&m->now, operand, &m->initial);
		return 0;
	}

	switch (op) {
	case OP_NOP:
		return 0;
	case OP_SET_LOC:
		return run_set_loc(m, c);
	case OP_ADVANCE_LOC1:
		return advance_by(m, cfi_read(c, 1));
	case OP_ADVANCE_LOC2:
		return advance_by(m, cfi_read(c, 2));
	case OP_ADVANCE_LOC4:
		return advance_by(m, cfi_read(c, 4));
	case OP_REMEMBER_STATE:
		return remember_state(m);
	case OP_RESTORE_STATE:
		return restore_state(m);
	case OP_DEF_CFA:
	case OP_DEF_CFA_SF:
	case OP_DEF_CFA_REGISTER:
	case OP_DEF_CFA_OFFSET:
	case OP_DEF_CFA_OFFSET_SF:
		return run_cfa_op(m, c, op);
	case OP_DEF_CFA_EXPRESSION:
		return run_cfa_expression(m, c);
	case OP_GNU_ARGS_SIZE:
		cfi_uleb(c);
		return 0;
	default:
		return run_register_op(m, c, op);
	}
}

static int run_program(struct machine *m, struct cfi_cursor *code)
{
	while (cfi_left(code) > 0) {
		int r;

		if (++m->ops > CFI_MAX_OPS)
			return -ENOTSUP;
		r = run_op(m, code);
		if (code->bad)
			return -EBADMSG;
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return 0;
}

int cfi_code_run(struct cfi_fde *fde, uint64_t vaddr, struct cfi_row *ret_row)
{
	struct machine m;
	int r;

	/* The kept states are not worth clearing: depth says which hold anything. */
	m.cie = &fde->cie;
	m.target = vaddr;
	m.loc = fde->start;
	m.next = fde->end;
	m.ops = 0;
	m.depth = 0;
	m.initial_known = false;
	memset(&m.now, 0, sizeof(m.now));
	memset(&m.initial, 0, sizeof(m.initial));

	r = run_program(&m, &fde->cie.code);
	if (r < 0)
		return r;
	m.initial = m.now;
	m.initial_known = true;
	r = run_program(&m, &fde->code);
	if (r < 0)
		return r;

	r = cfi_rules_row(&m.now, fde->cie.signal, ret_row);
	if (r < 0)
		return r;
	ret_row->start = m.loc;
	ret_row->end = m.next;
	return 0;
}
