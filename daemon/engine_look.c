/*
 * Looking at a thread from outside, without stopping it: the functions of the kernel
 * that it waits in, as /proc tells them, and the callers in user space. Of its
 * registers only two are to be had while it sleeps, the stack pointer and the
 * instruction; what is on the stack is read with these, and a frame that needs
 * another register ends the walk. That is rarely so: whoever calls the kernel has
 * saved most of them on the stack.
 */
#include "daemon/engine_internal.h"
#include "daemon/keeper/keeper.h"
#include "daemon/proc/waiting.h"
#include "profd/base.h"

/* Adds how the walks since @before ended to @ends. */
void engine_count_walks(struct engine *e, const struct unwind_stats *before, uint64_t *ends)
{
	struct unwind_stats now;

	unwinder_stats(e->ctx.unwinder, &now);
	for (int i = 0; i < UNWIND_END_N; i++)
		ends[i] += now.ends[i] - before->ends[i];
}

static size_t walk(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
		   struct frame *frames, enum unwind_end *ret_end)
{
	struct process *process = process_get(e->ctx.processes, pid);
	struct unwind_input in = {
		.process = process,
		.regs = {[UNWIND_RSP] = w->user_sp, [UNWIND_RIP] = w->user_pc},
		.unknown = UNWIND_ASLEEP_UNKNOWN,
	};
	struct unwind_stats before;
	ssize_t got;
	size_t n;

	*ret_end = UNWIND_COPY;
	if (!process || w->user_pc == 0)
		return 0;
	if (w->user_sp > UINT32_MAX) { /* else of 32 bits: the innermost frame will do */
		got = keeper_read_stack(e->ctx.keeper, pid, tid, w->user_sp, &in.stack);
		in.stack_bytes = got > 0 ? (size_t)got : 0;
	}
	unwinder_stats(e->ctx.unwinder, &before);
	n = unwinder_walk(e->ctx.unwinder, &in, frames, PROFD_MAX_USER_FRAMES, ret_end);
	engine_count_walks(e, &before, e->ctx.offcpu_counted.looks);
	return n;
}

size_t engine_look(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
		   enum unwind_end *ret_end)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_functions; i++) {
		const struct module *m = module_get_note(e->ctx.modules, w->functions[i]);

		if (m)
			e->frames[n++] = (struct frame){.module = m->id};
	}
	return n + walk(e, pid, tid, w, e->frames + n, ret_end);
}
