/*
 * Registers and stacks of x86-64.
 *
 * Reads stay between the frame's own stack pointer and the end of the stack. The
 * main thread's ends at __libc_stack_end; of any other thread the C library puts
 * the thread control block at the upper end. On a stack that is neither (a
 * coroutine's, an alternate signal stack) a step may go 64 KiB, which only
 * call-frame rows are trusted to do.
 *
 * A step must lead upwards, so a walk ends; the one exception is out of a signal
 * handler, whose stack may lie anywhere, and the number of frames bounds those.
 */
#include "client/preload/walk.h"

#include <string.h>
#include <ucontext.h>

#include "client/preload/fast.h"
#include "client/preload/record.h"
#include "client/preload/sampler.h"
#include "client/preload/session.h"

#define BLIND_STEP_BYTES   65536
#define FIRST_CODE_ADDRESS 4096

/*
 * Where a walk begins: in the caller, so that the frames of what records a sample
 * need not be walked. Calls @take with the arguments as they are, and in @argument,
 * the register of its next one, the registers as the caller has them right behind the
 * call. The stores are in the order of enum walk_reg.
 */
#define NOTE(take, argument)                                                                       \
	__asm__("subq $72, %rsp\n\t"                                                               \
		".cfi_adjust_cfa_offset 72\n\t"                                                    \
		"movq %rbx, (%rsp)\n\t"                                                            \
		"movq %rbp, 8(%rsp)\n\t"                                                           \
		"leaq 80(%rsp), %rax\n\t"                                                          \
		"movq %rax, 16(%rsp)\n\t"                                                          \
		"movq %r12, 24(%rsp)\n\t"                                                          \
		"movq %r13, 32(%rsp)\n\t"                                                          \
		"movq %r14, 40(%rsp)\n\t"                                                          \
		"movq %r15, 48(%rsp)\n\t"                                                          \
		"movq 72(%rsp), %rax\n\t"                                                          \
		"movq %rax, 56(%rsp)\n\t"                                                          \
		"movq %rsp, %" argument "\n\t"                                                     \
		"call " take "\n\t"                                                                \
		"addq $72, %rsp\n\t"                                                               \
		".cfi_adjust_cfa_offset -72\n\t"                                                   \
		"ret")

__attribute__((naked, noinline)) void sampler_note(void *p, size_t size)
{
	NOTE("sampler_take", "rdx");
}

__attribute__((naked, noinline)) void record_note(enum heap_kind kind, uint64_t count, uint64_t ns)
{
	NOTE("record_take", "rcx");
}

static uint64_t thread_control_block(void)
{
	uint64_t tcb;

	__asm__("movq %%fs:0, %0" : "=r"(tcb));
	return tcb;
}

static bool ends_at(uint64_t top, uint64_t sp)
{
	return sp < top && top - sp <= session.stack_limit_bytes;
}

static void find_bounds(struct walk *w)
{
	uint64_t sp = w->regs[WALK_RSP], tcb = thread_control_block();

	w->bounded = true;
	if (ends_at(session.main_stack_top, sp)) {
		w->top = session.main_stack_top;
	} else if (ends_at(tcb, sp)) {
		w->top = tcb;
	} else {
		w->bounded = false;
		w->top = sp + BLIND_STEP_BYTES;
	}
}

/* With the registers in place. */
static void begin(struct walk *w)
{
	w->exact = false;
	w->in_module = false;
	w->module = w->modules;
	for (size_t i = 0; i < ARRAY_SIZE(w->modules); i++)
		w->modules[i].start = w->modules[i].end = 0;
	find_bounds(w);
}

void walk_begin(struct walk *w, const uint64_t *regs)
{
	memcpy(w->regs, regs, sizeof(w->regs));
	begin(w);
}

/* A handler that was itself interrupted runs on the alternate stack, whose place
 * the kernel tells. */
void walk_begin_interrupted(struct walk *w, const void *context)
{
	static const uint8_t from[WALK_REG_N] = {
		REG_RBX, REG_RBP, REG_RSP, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};
	const ucontext_t *c = context;
	uint64_t start = (uint64_t)c->uc_stack.ss_sp, bytes = c->uc_stack.ss_size;

	for (unsigned i = 0; i < WALK_REG_N; i++)
		w->regs[i] = (uint64_t)c->uc_mcontext.gregs[from[i]];
	begin(w);
	w->exact = true;
	if (!w->bounded && w->regs[WALK_RSP] - start < bytes) {
		w->bounded = true;
		w->top = start + bytes;
	}
}

static bool read_word(const struct walk *w, uint64_t at, uint64_t *ret_word)
{
	if (at < w->regs[WALK_RSP] || at > w->top - sizeof(*ret_word))
		return false;
	memcpy(ret_word, (const void *)at, sizeof(*ret_word));
	return true;
}

/* The caller's frame begins at @sp and it goes on at @pc. */
static enum walk_status arrive(struct walk *w, uint64_t sp, uint64_t pc)
{
	if (pc == 0)
		return WALK_COMPLETE;
	if (pc < FIRST_CODE_ADDRESS)
		return WALK_BROKEN;
	w->regs[WALK_RSP] = sp;
	w->regs[WALK_PC] = pc;
	w->exact = false;
	if (!w->bounded)
		w->top = sp + BLIND_STEP_BYTES;
	return WALK_STEPPED;
}

/* The register a CFA is reckoned from. False: one whose value is not kept. */
static bool find_base(const struct walk *w, uint8_t reg, uint64_t *ret_base)
{
	switch (reg) {
	case CFI_RSP:
		*ret_base = w->regs[WALK_RSP];
		return true;
	case CFI_RBP:
		*ret_base = w->regs[WALK_RBP];
		return true;
	case CFI_RBX:
		*ret_base = w->regs[WALK_RBX];
		return true;
	case CFI_R12:
	case CFI_R13:
	case CFI_R14:
	case CFI_R15:
		*ret_base = w->regs[WALK_R12 + (reg - CFI_R12)];
		return true;
	default:
		return false;
	}
}

static bool find_cfa(const struct walk *w, const struct cfi_row *row, uint64_t *ret_cfa)
{
	uint64_t cfa;

	if (!find_base(w, row->cfa_reg, &cfa))
		return false;
	cfa += (uint64_t)(int64_t)row->cfa_offset;
	if (row->kind == CFI_ROW_PLT && (w->regs[WALK_PC] & 15) >= row->plt_from)
		cfa += 8;
	if ((row->kind == CFI_ROW_DEREF || row->cfa_deref) && !read_word(w, cfa, &cfa))
		return false;
	cfa += (uint64_t)(int64_t)row->cfa_add;
	if (cfa <= w->regs[WALK_RSP] || cfa > w->top)
		return false;
	*ret_cfa = cfa;
	return true;
}

/* A register that the row says was saved is read; any other has its value still. */
static bool restore(struct walk *w, enum walk_reg reg, int32_t offset, uint64_t base,
		    bool zero_counts)
{
	if (offset == 0 && !zero_counts)
		return true;
	return read_word(w, base + (uint64_t)(int64_t)offset, &w->regs[reg]);
}

static enum walk_status step_plain(struct walk *w, const struct cfi_row *row)
{
	uint64_t cfa, pc;

	if (!find_cfa(w, row, &cfa) ||
	    !read_word(w, cfa + (uint64_t)(int64_t)row->ra_offset, &pc) ||
	    !restore(w, WALK_RBX, row->rbx, cfa, false) ||
	    !restore(w, WALK_R12, row->r12, cfa, false) ||
	    !restore(w, WALK_R13, row->r13, cfa, false) ||
	    !restore(w, WALK_R14, row->r14, cfa, false) ||
	    !restore(w, WALK_R15, row->r15, cfa, false) ||
	    !restore(w, WALK_RBP, row->rbp, cfa, false))
		return WALK_BROKEN;
	return arrive(w, cfa, pc);
}

/* All words lie below the CFA, and so below the end of the stack: it is enough that
 * none lies below the frame. */
enum walk_status walk_step_common(struct walk *w, bool from_rbp, int32_t cfa_offset, uint64_t saved)
{
	static const uint8_t regs[] = {WALK_RBX, WALK_RBP, WALK_R12, WALK_R13, WALK_R14, WALK_R15};
	uint64_t cfa = w->regs[from_rbp ? WALK_RBP : WALK_RSP] + (uint64_t)(int64_t)cfa_offset;
	uint64_t sp = w->regs[WALK_RSP], pc;

	if (!read_word(w, cfa - sizeof(pc), &pc))
		return WALK_BROKEN;
	for (const uint8_t *reg = regs; saved; reg++, saved >>= WALK_SAVED_BITS) {
		uint64_t words = saved & ((1 << WALK_SAVED_BITS) - 1);

		if (words == 0)
			continue;
		if (words * sizeof(pc) > cfa - sp)
			return WALK_BROKEN;
		memcpy(&w->regs[*reg], (const void *)(cfa - words * sizeof(pc)), sizeof(pc));
	}
	return arrive(w, cfa, pc);
}

/* As above, of a frame in which some registers lie at offsets to its rbp. */
static enum walk_status step_aligned(struct walk *w, const struct cfi_row *row)
{
	static const uint8_t regs[] = {CFI_RBX, CFI_R12, CFI_R13, CFI_R14, CFI_R15, CFI_RBP};
	static const uint8_t slots[] = {WALK_RBX, WALK_R12, WALK_R13, WALK_R14, WALK_R15, WALK_RBP};
	const int32_t offsets[] = {row->rbx, row->r12, row->r13, row->r14, row->r15, row->rbp};
	uint64_t rbp = w->regs[WALK_RBP], cfa, pc;

	if (!find_cfa(w, row, &cfa) || !read_word(w, cfa + (uint64_t)(int64_t)row->ra_offset, &pc))
		return WALK_BROKEN;
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		bool from_rbp = row->from_rbp & 1u << regs[i];

		if (!restore(w, slots[i], offsets[i], from_rbp ? rbp : cfa, from_rbp))
			return WALK_BROKEN;
	}
	return arrive(w, cfa, pc);
}

/* Into the code that a signal interrupted. */
static enum walk_status step_signal(struct walk *w)
{
	static const uint8_t regs[WALK_REG_N] = {
		CFI_RBX, CFI_RBP, CFI_RSP, CFI_R12, CFI_R13, CFI_R14, CFI_R15, CFI_RA,
	};
	uint64_t saved[WALK_REG_N];

	for (unsigned i = 0; i < WALK_REG_N; i++) {
		int offset = cfi_signal_offset(regs[i]);

		if (offset < 0 || !read_word(w, w->regs[WALK_RSP] + (uint64_t)offset, &saved[i]))
			return WALK_BROKEN;
	}
	if (saved[WALK_PC] < FIRST_CODE_ADDRESS)
		return WALK_BROKEN;
	memcpy(w->regs, saved, sizeof(saved));
	w->exact = true;
	find_bounds(w);
	return WALK_STEPPED;
}

enum walk_status walk_step(struct walk *w, const struct cfi_row *row)
{
	switch ((enum cfi_kind)row->kind) {
	case CFI_ROW_OFFSET:
	case CFI_ROW_DEREF:
	case CFI_ROW_PLT:
		return step_plain(w, row);
	case CFI_ROW_ALIGNED:
		return step_aligned(w, row);
	case CFI_ROW_SIGNAL:
		return step_signal(w);
	case CFI_ROW_END:
		return WALK_COMPLETE;
	case CFI_ROW_EXPRESSION:
		return WALK_BROKEN;
	}
	return WALK_BROKEN;
}

/* Code without call-frame information is most likely a JIT's, and most of those
 * keep rbp as the frame pointer. Thread starts set it to 0. */
enum walk_status walk_step_frame_pointer(struct walk *w)
{
	uint64_t rbp = w->regs[WALK_RBP], pc;

	if (!w->bounded)
		return WALK_BROKEN;
	if (rbp == 0)
		return WALK_COMPLETE;
	if (rbp % sizeof(rbp) != 0 || !read_word(w, rbp + sizeof(rbp), &pc) ||
	    !read_word(w, rbp, &w->regs[WALK_RBP]))
		return WALK_BROKEN;
	return arrive(w, rbp + 2 * sizeof(rbp), pc);
}
