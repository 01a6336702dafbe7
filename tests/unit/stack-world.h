/*
 * For the tests of the stack room: this process as a target of its own. capture()
 * takes the registers and a copy of the stack as they are in the middle of a
 * function, and asks the compiler's own unwinder what the truth is. Each function
 * of interest lies in a section of its own, whose bounds the linker tells.
 */
#pragma once

#include "daemon/stack/unwind.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/limits.h"

#define COPY_MAX_BYTES (256 * 1024)
#define SECTION(name)                                                                              \
	extern const uint8_t __start_##name[];                                                     \
	extern const uint8_t __stop_##name[];                                                      \
	__attribute__((noinline, noclone, section(#name)))
#define IN(w, i, name)                                                                             \
	(address_of((w), (i)) >= (uint64_t)__start_##name &&                                       \
	 address_of((w), (i)) < (uint64_t)__stop_##name)
#ifdef __clang__
#define noclone
#endif

struct world {
	struct keeper *keeper;
	struct module_table *modules;
	struct process_table *processes;
	struct unwinder *unwinder;
	struct process *self;

	struct unwind_input in;
	uint8_t copy[COPY_MAX_BYTES];
	struct frame frames[PROFD_MAX_USER_FRAMES];
	size_t n;
	enum unwind_end end;

	uint64_t oracle[PROFD_MAX_USER_FRAMES]; /* what the compiler's own unwinder says */
	size_t n_oracle;
};

static struct world *world; /* for code that is called with no argument of ours */
static volatile int sink;

/* Reads between the redzones, too, which an address sanitizer would not like. */
__attribute__((no_sanitize("address"))) static void copy_stack(struct world *w, uint64_t sp)
{
	const volatile uint8_t *from = (const volatile uint8_t *)sp;
	pthread_attr_t attr;
	size_t bytes, left;
	void *low;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &bytes);
	pthread_attr_destroy(&attr);
	left = (uint64_t)low + bytes - sp;
	if (sp < (uint64_t)low || left > bytes)
		left = 4096; /* a stack of a handler's own */
	left = min(left, (size_t)COPY_MAX_BYTES);
	for (size_t i = 0; i < left; i++)
		w->copy[i] = from[i];
	w->in.stack = w->copy;
	w->in.stack_bytes = left;
}

static _Unwind_Reason_Code ask_oracle(struct _Unwind_Context *context, void *arg)
{
	struct world *w = arg;

	if (w->n_oracle < PROFD_MAX_USER_FRAMES)
		w->oracle[w->n_oracle++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

SECTION(at_capture) static void capture(void)
{
	static const uint8_t gregs[UNWIND_REG_N] = {
		REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_RIP,
		REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	ucontext_t uc;

	getcontext(&uc);
	for (unsigned i = 0; i < UNWIND_REG_N; i++)
		world->in.regs[i] = (uint64_t)uc.uc_mcontext.gregs[gregs[i]];
	copy_stack(world, world->in.regs[UNWIND_RSP]);
	world->n_oracle = 0;
	_Unwind_Backtrace(ask_oracle, world);
	sink++;
}

static void walk(struct world *w)
{
	w->n = unwinder_walk(w->unwinder, &w->in, w->frames, PROFD_MAX_USER_FRAMES, &w->end);
}

/* The run-time address of frame @i. */
static uint64_t address_of(const struct world *w, size_t i)
{
	const struct frame *f = &w->frames[i];
	const struct module *module = module_by_id(w->modules, f->module);

	if (i >= w->n || !module)
		return 0;
	if (module->kind == MODULE_JIT)
		return f->offset;
	for (size_t k = 0; k < w->self->n_maps; k++) {
		const struct process_map *m = &w->self->maps[k];

		if (m->module->id == f->module && f->offset >= m->file_offset &&
		    f->offset - m->file_offset < m->end - m->start)
			return m->start + f->offset - m->file_offset;
	}
	return 0;
}

/* Every return address is the one that the oracle finds, minus one. */
static void assert_agrees_with_oracle(const struct world *w)
{
	assert_int_equal(w->n, w->n_oracle);
	for (size_t i = 1; i < w->n; i++)
		assert_int_equal(address_of(w, i), w->oracle[i] - 1);
}

/* ---- three nested calls, for a walk to tell apart */

SECTION(at_inner) static void inner(void (*what)(void))
{
	what();
	sink++;
}

SECTION(at_middle) static void middle(void (*what)(void))
{
	char room[300];

	memset(room, sink, sizeof(room));
	inner(what);
	sink += room[5];
}

SECTION(at_outer) static void outer(void (*what)(void))
{
	middle(what);
	sink++;
}

/* ---- each test has a world of its own */

static int setup(void **state)
{
	world = calloc(1, sizeof(*world));
	if (!world || keeper_new_local(&world->keeper) < 0 ||
	    module_table_new(&world->modules) < 0 ||
	    process_table_new(world->keeper, world->modules, &world->processes) < 0 ||
	    unwinder_new(world->processes, world->modules, &world->unwinder) < 0)
		return -1;
	world->self = process_get(world->processes, getpid());
	world->in.process = world->self;
	*state = world;
	return world->self ? 0 : -1;
}

static int teardown(void **state)
{
	unwinder_free(world->unwinder);
	process_table_free(world->processes);
	module_table_free(world->modules);
	keeper_free(world->keeper);
	free(world);
	return 0;
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
