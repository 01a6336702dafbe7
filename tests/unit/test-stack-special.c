/*
 * Walks where ordinary rows are of no use: signal frames, expressions (libunwind),
 * functions without call-frame information (frame pointers), code without a
 * file, and stacks that mean harm.
 */
#include "daemon/stack/unwind.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "daemon/stack/step.h"
#include "tests/unit/stack-world.h"

/* ---- signals */

static void on_illegal(int sig, siginfo_t *info, void *context)
{
	capture();
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* behind ud2 */
}

SECTION(at_illegal) static void illegal(void)
{
	__asm__ volatile(".globl the_ud2\nthe_ud2: ud2" ::: "memory");
	sink++;
}
extern const uint8_t the_ud2[];

static void interrupt(int flags)
{
	struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | flags}, old;

	assert_int_equal(sigaction(SIGILL, &action, &old), 0);
	outer(illegal);
	assert_int_equal(sigaction(SIGILL, &old, NULL), 0);
}

static void walks_through_a_signal_frame(void **state)
{
	struct world *w = *state;

	interrupt(0);
	walk(w);
	assert_int_equal(w->end, UNWIND_COMPLETE);
	assert_int_equal(address_of(w, 2), w->oracle[2]);      /* no call leads here */
	assert_int_equal(address_of(w, 3), (uint64_t)the_ud2); /* nor here: exact */
	assert_true(IN(w, 3, at_illegal));
	assert_true(IN(w, 4, at_inner));
	assert_true(IN(w, 6, at_outer));
}

static void names_the_code_behind_a_signal_stack(void **state)
{
	struct world *w = *state;
	stack_t stack = {.ss_size = 64 * 1024}, old;
	void *bytes = malloc(stack.ss_size);

	assert_non_null(bytes);
	stack.ss_sp = bytes;
	assert_int_equal(sigaltstack(&stack, &old), 0);
	interrupt(SA_ONSTACK);
	assert_int_equal(sigaltstack(&old, NULL), 0);
	free(bytes);
	walk(w);
	assert_int_equal(w->end, UNWIND_TRUNCATED);
	assert_int_equal(w->n, 4);
	assert_int_equal(address_of(w, 3), (uint64_t)the_ud2);
}

/* ---- what rows cannot say */

/* CFA = rsp + 16 + 0: an expression that no row has. */
void odd_frame(void (*what)(void));
__asm__(".pushsection at_odd, \"ax\"\n"
	".type odd_frame, @function\n"
	"odd_frame: .cfi_startproc\n"
	"	push %rbx\n"
	"	.cfi_escape 0x0f, 4, 0x77, 16, 0x30, 0x22\n"
	"	.cfi_offset rbx, -16\n"
	"	xor %ebx, %ebx\n"
	"	call *%rdi\n"
	"	pop %rbx\n"
	"	.cfi_def_cfa rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".popsection\n");
extern const uint8_t __start_at_odd[], __stop_at_odd[];

SECTION(at_around) static void around(void (*frame)(void (*)(void)))
{
	frame(capture);
	sink++;
}

static void asks_libunwind_for_an_expression(void **state)
{
	struct world *w = *state;
	struct unwind_stats stats;

	around(odd_frame);
	walk(w);
	assert_true(IN(w, 1, at_odd));
	assert_true(IN(w, 2, at_around));
	assert_int_equal(w->end, UNWIND_COMPLETE);
	assert_agrees_with_oracle(w);
	unwinder_stats(w->unwinder, &stats);
	assert_int_equal(stats.steps_libunwind, 1);

	w->in.stack_bytes = (uint64_t)__builtin_frame_address(0) - w->in.regs[UNWIND_RSP];
	while (w->in.stack_bytes > 8) {
		w->in.stack_bytes -= 8;
		walk(w);
		if (w->n == 2) /* stuck in odd_frame itself */
			break;
	}
	assert_int_equal(w->n, 2);
	assert_int_equal(w->end, UNWIND_TRUNCATED);
}

static void call_odd_frame(void)
{
	around(odd_frame);
}

/* No call-frame information, but a frame pointer. */
void chained_frame(void (*what)(void));
__asm__(".pushsection at_chained, \"ax\"\n"
	".type chained_frame, @function\n"
	"chained_frame: push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	call *%rdi\n"
	"	pop %rbp\n"
	"	ret\n"
	".popsection\n");
extern const uint8_t __start_at_chained[], __stop_at_chained[];

static void follows_a_frame_pointer(void **state)
{
	struct world *w = *state;
	struct unwind_stats stats;

	around(chained_frame);
	walk(w);
	assert_true(IN(w, 1, at_chained));
	assert_true(IN(w, 2, at_around));
	assert_int_equal(w->end, UNWIND_COMPLETE);
	unwinder_stats(w->unwinder, &stats);
	assert_int_equal(stats.steps_frame_pointer, 1);
}

static void *jit_code; /* a copy of chained_frame, mapped before the world is made */

static void walks_code_without_a_file(void **state)
{
	struct world *w = *state;

	around((void (*)(void (*)(void)))jit_code);
	walk(w);
	assert_int_equal(module_by_id(w->modules, w->frames[1].module)->kind, MODULE_JIT);
	assert_in_range(w->frames[1].offset, (uint64_t)jit_code, (uint64_t)jit_code + 16);
	assert_true(IN(w, 2, at_around));
	assert_int_equal(w->end, UNWIND_COMPLETE);
}

/* Hand-written code may keep the caller's stack pointer below its own. */
static void misses_what_lies_below_the_copy(void **state)
{
	const struct cfi_row row = {
		.kind = CFI_ROW_ALIGNED,
		.cfa_reg = CFI_RSP,
		.cfa_offset = -8,
		.cfa_deref = true,
		.cfa_add = 8,
		.ra_offset = -8,
	};
	uint64_t stack[4] = {0x1010, 0, 0x4444, 0};
	struct step s = {
		.regs[UNWIND_RSP] = 0x1008,
		.known = STEP_KNOWN_ALL,
		.exact = true,
		.stack = (const uint8_t *)stack,
		.stack_base = 0x1000,
		.stack_bytes = sizeof(stack),
	};

	assert_int_equal(step_by_row(&s, &row), 0);
	assert_int_equal(s.regs[UNWIND_RSP], 0x1018);
	assert_int_equal(s.regs[UNWIND_RIP], 0x4444);

	s.regs[UNWIND_RSP] = s.stack_base; /* as the kernel copies */
	assert_int_equal(step_by_row(&s, &row), -ENODATA);
	s.regs[UNWIND_RSP] = s.stack_base - 4096;
	assert_int_equal(step_by_row(&s, &row), -EFAULT);
}

/* ---- stacks that mean harm */

static void spoil(struct world *w, uint64_t *seed, bool regs_too)
{
	uint64_t text = (uint64_t)__start_at_inner & ~0xfffULL;

	for (unsigned k = 0; k < 40; k++) {
		uint64_t value;

		*seed = *seed * 6364136223846793005 + 1442695040888963407;
		value = *seed >> 20;
		if (value % 3 == 0)
			value = text + value % 8192;
		else if (value % 3 == 1)
			value = w->in.regs[UNWIND_RSP] + value % 4096;
		memcpy(w->copy + (*seed >> 40) % 2000, &value, 8);
		if (regs_too && k < UNWIND_REG_N && k != UNWIND_RSP && *seed % 4 == 0)
			w->in.regs[k] = value;
	}
}

static void ends_on_any_stack(void **state)
{
	static uint8_t good[2048];
	struct world *w = *state;
	uint64_t ends[UNWIND_END_N] = {0}, seed = 7;
	struct unwind_input in;

	outer(call_odd_frame);
	in = w->in;
	memcpy(good, w->copy, sizeof(good));
	for (unsigned round = 0; round < 20000; round++) {
		memcpy(w->copy, good, sizeof(good));
		w->in = in;
		spoil(w, &seed, round % 2);
		walk(w);
		assert_in_range(w->n, 1, PROFD_MAX_FRAMES);
		assert_in_range(w->end, 0, UNWIND_END_N - 1);
		ends[w->end]++;
	}
	for (unsigned i = 0; i < UNWIND_END_N; i++)
		print_message("%s: %lu\n", unwind_end_name((enum unwind_end)i), ends[i]);
	assert_true(ends[UNWIND_COMPLETE] < 20000);
	assert_true(ends[UNWIND_NO_MAP] > 0);
}

static void leaf_in_no_mapping_is_still_a_frame(void **state)
{
	struct world *w = *state;

	outer(capture);
	w->in.regs[UNWIND_RIP] = 16;
	walk(w);
	assert_int_equal(w->n, 1);
	assert_int_equal(w->frames[0].module, 0);
	assert_int_equal(w->frames[0].offset, 16);
	assert_int_equal(w->end, UNWIND_NO_MAP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(walks_through_a_signal_frame),
		world_test(names_the_code_behind_a_signal_stack),
		world_test(asks_libunwind_for_an_expression),
		world_test(follows_a_frame_pointer),
		world_test(walks_code_without_a_file),
		cmocka_unit_test(misses_what_lies_below_the_copy),
		world_test(ends_on_any_stack),
		world_test(leaf_in_no_mapping_is_still_a_frame),
	};

	jit_code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (jit_code == MAP_FAILED)
		return 1;
	memcpy(jit_code, __start_at_chained, (size_t)(__stop_at_chained - __start_at_chained));
	return cmocka_run_group_tests_name("stack-special", tests, NULL, NULL);
}
