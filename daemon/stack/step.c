/*
 * Steps. The invariant that makes every walk end: the caller's stack pointer
 * lies above the callee's, but for a signal frame, behind which the
 * interrupted code may have been on another stack.
 *
 * A saved register below the stack pointer was popped already: compilers do not
 * say so in an epilogue. The register then holds the caller's value again.
 */
#include "daemon/stack/step.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

/* An address further above the copy than this is no address of the same stack. */
#define STACK_MAX_BYTES (1ULL << 30)

/* Below its stack pointer a function may use this much (the ABI's red zone),
 * which the kernel does not copy: libcrypto keeps its caller's stack there. */
#define RED_ZONE_BYTES 128

enum unwind_reg step_reg(unsigned dwarf_reg)
{
	static const uint8_t regs[CFI_REG_N] = {
		UNWIND_RAX, UNWIND_RDX, UNWIND_RCX, UNWIND_RBX, UNWIND_RSI, UNWIND_RDI,
		UNWIND_RBP, UNWIND_RSP, UNWIND_R8,  UNWIND_R9,	UNWIND_R10, UNWIND_R11,
		UNWIND_R12, UNWIND_R13, UNWIND_R14, UNWIND_R15, UNWIND_RIP,
	};

	return (enum unwind_reg)regs[dwarf_reg];
}

int step_read(const struct step *s, uint64_t address, uint64_t *ret_value)
{
	uint64_t at = address - s->stack_base;

	if (address < s->stack_base)
		return s->stack_base - address <= RED_ZONE_BYTES ? -ENODATA : -EFAULT;
	if (unlikely(s->stack_bytes < sizeof(*ret_value) ||
		     at > s->stack_bytes - sizeof(*ret_value)))
		return at < STACK_MAX_BYTES ? -ENODATA : -EFAULT;
	memcpy(ret_value, s->stack + at, sizeof(*ret_value));
	return 0;
}

bool step_goes_up(const struct step *s, uint64_t callee_sp)
{
	return s->regs[UNWIND_RSP] > callee_sp;
}

static int read_cfa(const struct step *s, const struct cfi_row *row, uint64_t *ret_cfa)
{
	enum unwind_reg reg = step_reg(row->cfa_reg);
	uint64_t cfa = s->regs[reg] + (uint64_t)(int64_t)row->cfa_offset;
	int r;

	if (!(s->known & (1u << reg)))
		return -EINVAL;
	if (row->kind == CFI_ROW_PLT && (s->regs[UNWIND_RIP] & 15) >= row->plt_from)
		cfa += 8;
	if (row->kind == CFI_ROW_DEREF || row->cfa_deref) {
		r = step_read(s, cfa, &cfa);
		if (r < 0)
			return r;
	}
	*ret_cfa = cfa + (uint64_t)(int64_t)row->cfa_add;
	return 0;
}

static int restore(struct step *s, const struct step *callee, const struct cfi_row *row,
		   enum cfi_reg reg, int32_t offset, uint64_t cfa)
{
	bool from_rbp = row->from_rbp & (1u << reg);
	uint64_t address = (from_rbp ? callee->regs[UNWIND_RBP] : cfa) + (uint64_t)(int64_t)offset;
	int r;

	if (offset == 0 && !from_rbp)
		return 0;
	if (from_rbp && !(callee->known & 1u << UNWIND_RBP))
		return -EINVAL;
	if (address < callee->regs[UNWIND_RSP])
		return 0; /* popped already */
	r = step_read(callee, address, &s->regs[step_reg(reg)]);
	if (r == 0)
		s->known |= 1u << step_reg(reg);
	return r;
}

static int step_by_ucontext(struct step *s)
{
	uint64_t regs[UNWIND_REG_N];
	int r;

	for (unsigned i = 0; i < CFI_REG_N; i++) {
		int offset = cfi_signal_offset((enum cfi_reg)i);

		r = step_read(s, s->regs[UNWIND_RSP] + (uint64_t)offset, &regs[step_reg(i)]);
		if (r < 0)
			return r;
	}
	memcpy(s->regs, regs, sizeof(regs));
	s->known = STEP_KNOWN_ALL;
	s->exact = true;
	return 0;
}

int step_to_cfa(struct step *s, const struct cfi_row *row, uint64_t cfa)
{
	struct step next = *s;
	int r;

	if (cfa <= s->regs[UNWIND_RSP])
		return -EFAULT;
	r = step_read(s, cfa + (uint64_t)(int64_t)row->ra_offset, &next.regs[UNWIND_RIP]);
	if (r < 0)
		return r;
	next.regs[UNWIND_RSP] = cfa;
	next.known = (s->known & STEP_KNOWN_KEPT) | 1u << UNWIND_RSP | 1u << UNWIND_RIP;
	next.exact = false;

	if ((r = restore(&next, s, row, CFI_RBP, row->rbp, cfa)) < 0 ||
	    (r = restore(&next, s, row, CFI_RBX, row->rbx, cfa)) < 0 ||
	    (r = restore(&next, s, row, CFI_R12, row->r12, cfa)) < 0 ||
	    (r = restore(&next, s, row, CFI_R13, row->r13, cfa)) < 0 ||
	    (r = restore(&next, s, row, CFI_R14, row->r14, cfa)) < 0 ||
	    (r = restore(&next, s, row, CFI_R15, row->r15, cfa)) < 0)
		return r;
	*s = next;
	return 0;
}

int step_by_row(struct step *s, const struct cfi_row *row)
{
	uint64_t cfa;
	int r;

	if (row->kind == CFI_ROW_SIGNAL)
		return step_by_ucontext(s);
	r = read_cfa(s, row, &cfa);
	return r < 0 ? r : step_to_cfa(s, row, cfa);
}

int step_by_frame_pointer(struct step *s)
{
	uint64_t rbp = s->regs[UNWIND_RBP], caller_rbp, return_address;
	int r;

	if (!(s->known & 1u << UNWIND_RBP))
		return -EINVAL;
	if (rbp < s->regs[UNWIND_RSP] || rbp % 8 != 0)
		return -EFAULT;
	r = step_read(s, rbp, &caller_rbp);
	if (r == 0)
		r = step_read(s, rbp + 8, &return_address);
	if (r < 0)
		return r;
	s->regs[UNWIND_RBP] = caller_rbp;
	s->regs[UNWIND_RSP] = rbp + 16;
	s->regs[UNWIND_RIP] = return_address;
	s->known = (s->known & STEP_KNOWN_KEPT) | 1u << UNWIND_RBP;
	s->exact = false;
	return 0;
}
