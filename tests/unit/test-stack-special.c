/*
 * Walks where ordinary rows are of no use: signal frames, expressions (libunwind),
 * functions without call-frame information (frame pointers), code without a
 * file, and stacks that mean harm.
 */
#include "daemon/stack/unwind.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "daemon/stack/search.h"
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
	assert_int_equal(w->end, UNWIND_OTHER_STACK);
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
	assert_int_equal(w->end, UNWIND_COPY);
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

static bool is_4444(uint64_t address, void *userdata)
{
	return address == 0x4443;
}

/* But it stored the same value when it made its frame, and that is looked for. */
static void searches_what_lies_below_the_copy(void **state)
{
	const struct cfi_row row = {
		.kind = CFI_ROW_ALIGNED,
		.cfa_reg = CFI_RSP,
		.cfa_offset = -8,
		.cfa_deref = true,
		.cfa_add = 8,
		.ra_offset = -8,
	};
	uint64_t stack[] = {
		0x1008, /* points down */
		0x1048, /* to a word that is no code */
		0x1058, /* to code, but not aligned */
		0x1068, /* this */
		0,	0, 0, 0, 0, 0x1234, 0, 0x4444, 0, 0x4444, 0, 0,
	};
	struct step s = {
		.regs[UNWIND_RSP] = 0x1000,
		.known = STEP_KNOWN_ALL,
		.exact = true,
		.stack = (const uint8_t *)stack,
		.stack_base = 0x1000,
		.stack_bytes = sizeof(stack),
	};

	stack[2] = 0x1050;
	stack[10] = 0x4444;
	assert_true(search_is_needed(&s, &row));
	assert_int_equal(step_by_row(&s, &row), -ENODATA);
	stack[11] = 0;
	assert_int_equal(search_step(&s, &row, is_4444, NULL), 0);
	assert_int_equal(s.regs[UNWIND_RSP], 0x1070);
	assert_int_equal(s.regs[UNWIND_RIP], 0x4444);

	s.regs[UNWIND_RSP] = s.stack_base;
	stack[13] = 0;
	assert_int_equal(search_step(&s, &row, is_4444, NULL), -ENODATA);
	s.regs[UNWIND_RSP] = s.stack_base + 8;
	assert_false(search_is_needed(&s, &row)); /* the copy holds the place */
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

#define CHAIN(name, callee)                                                                        \
	__attribute__((noinline, noclone)) static void name(void)                                  \
	{                                                                                          \
		callee();                                                                          \
		sink++;                                                                            \
	}
CHAIN(chain_1, capture)
CHAIN(chain_2, chain_1)
CHAIN(chain_3, chain_2)
CHAIN(chain_4, chain_3)
CHAIN(chain_5, chain_4)
CHAIN(chain_6, chain_5)
CHAIN(chain_7, chain_6)
CHAIN(chain_8, chain_7)
CHAIN(chain_9, chain_8)
CHAIN(chain_10, chain_9)
CHAIN(chain_11, chain_10)
CHAIN(chain_12, chain_11)
CHAIN(chain_13, chain_12)
CHAIN(chain_14, chain_13)
CHAIN(chain_15, chain_14)
CHAIN(chain_16, chain_15)
CHAIN(chain_17, chain_16)

/* Without .eh_frame_hdr each row is looked for in all of .eh_frame. What one walk
 * found the next one need not look for. */
static void rows_that_are_dear_are_found_bit_by_bit(void **state)
{
	struct world *w = *state;
	struct module *module;
	size_t n;

	chain_17();
	module = process_open_module(w->processes, w->self,
				     process_find_map(w->self, w->in.regs[UNWIND_RIP]));
	walk(w);
	assert_int_equal(w->end, UNWIND_COMPLETE);
	chain_17();
	assert_non_null(module_cfi(w->modules, module));
	module->cfi.hdr = NULL;
	unwinder_free(w->unwinder); /* with what it remembers */
	assert_int_equal(unwinder_new(w->processes, w->modules, &w->unwinder), 0);
	walk(w);
	n = w->n;
	assert_int_equal(w->end, UNWIND_WORK);
	assert_in_range(n, 8, 18);
	walk(w);
	assert_int_equal(w->end, UNWIND_COMPLETE);
	assert_true(w->n > n);
	assert_agrees_with_oracle(w);
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
		assert_in_range(w->n, 1, PROFD_MAX_USER_FRAMES);
		assert_in_range(w->end, 0, UNWIND_END_N - 1);
		ends[w->end]++;
	}
	for (unsigned i = 0; i < UNWIND_END_N; i++)
		print_message("%s: %lu\n", unwind_end_note((enum unwind_end)i) ?: "complete",
			      ends[i]);
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
		cmocka_unit_test(searches_what_lies_below_the_copy),
		world_test(rows_that_are_dear_are_found_bit_by_bit),
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
