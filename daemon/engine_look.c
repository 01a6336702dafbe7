/*
 * Looking at a thread from outside: the functions of the kernel that it waits in, as
 * /proc tells them, and the callers in user space.
 *
 * Without stopping it, only two of its registers are to be had while it sleeps, the
 * stack pointer and the instruction; what is on the stack is read with these, and a
 * frame that needs another register ends the walk. In programs that were built with
 * optimization that is rarely so. Else, and where it runs, it is stopped for a moment.
 */
#include <errno.h>

#include "daemon/engine_internal.h"
#include "daemon/keeper/keeper.h"
#include "daemon/keeper/peek.h"
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

static size_t walk(struct engine *e, const struct unwind_input *in, struct frame *frames,
		   enum unwind_end *ret_end)
{
	struct unwind_stats before;
	size_t n;

	unwinder_stats(e->ctx.unwinder, &before);
	n = unwinder_walk(e->ctx.unwinder, in, frames, PROFD_MAX_USER_FRAMES, ret_end);
	engine_count_walks(e, &before, e->ctx.offcpu_counted.looks);
	return n;
}

static size_t add_callers(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
			  struct frame *frames, enum unwind_end *ret_end)
{
	struct unwind_input in = {
		.process = process_get(e->ctx.processes, pid),
		.regs = {[UNWIND_RSP] = w->user_sp, [UNWIND_RIP] = w->user_pc},
		.unknown = UNWIND_ASLEEP_UNKNOWN,
	};
	ssize_t got;

	*ret_end = UNWIND_COPY;
	if (!in.process || w->user_pc == 0)
		return 0;
	if (w->user_sp > UINT32_MAX) { /* else of 32 bits: the innermost frame will do */
		got = keeper_read_stack(e->ctx.keeper, pid, tid, w->user_sp, &in.stack);
		in.stack_bytes = got > 0 ? (size_t)got : 0;
	}
	return walk(e, &in, frames, ret_end);
}

static size_t add_functions(struct engine *e, const struct waiting *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_functions; i++) {
		const struct module *m = module_get_note(e->ctx.modules, w->functions[i]);

		if (m)
			e->frames[n++] = (struct frame){.module = m->id};
	}
	return n;
}

size_t engine_look(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
		   enum unwind_end *ret_end)
{
	size_t n = add_functions(e, w);

	return n + add_callers(e, pid, tid, w, e->frames + n, ret_end);
}

int engine_look_stopped(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
			uint64_t *ret_stopped_ns, enum unwind_end *ret_end)
{
	struct unwind_input in = {.process = process_get(e->ctx.processes, pid)};
	struct peek_thread thread;
	ssize_t got;
	size_t n;

	if (!in.process)
		return -ESRCH;
	got = keeper_stop_thread(e->ctx.keeper, pid, tid, &thread, &in.stack);
	if (got < 0)
		return (int)got;
	in.stack_bytes = (size_t)got;
	unwind_set_regs(&in, &thread.regs);
	n = add_functions(e, w);
	*ret_stopped_ns = thread.stopped_ns;
	return (int)(n + walk(e, &in, e->frames + n, ret_end));
}
