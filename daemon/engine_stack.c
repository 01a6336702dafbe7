/*
 * From the registers, the stack copy and the kernel's call chain of a record to
 * frames: the kernel's first, then those of user space, then, where these are
 * not all, a note that says why.
 */
#include "daemon/engine_internal.h"
#include "profd/base.h"

/* Kernel frames: the first is where it was, the others are return addresses. */
static size_t add_kernel(struct engine *e, const struct sampler_sample *s)
{
	size_t n = min(s->n_kernel_frames, (size_t)PROFD_MAX_FRAMES);

	for (size_t i = 0; i < n; i++)
		e->frames[i] = (struct frame){.module = e->kernel->id,
					      .offset = s->kernel_frames[i] - (i > 0)};
	return n;
}

static size_t add_user(struct engine *e, const struct sampler_sample *s, struct process *process,
		       size_t n)
{
	struct unwind_input in = {
		.process = process,
		.stack = s->stack,
		.stack_bytes = s->stack_bytes,
	};
	struct module *note = e->unknown;
	enum unwind_end end;

	if (process) {
		for (int i = 0; i < UNWIND_REG_N; i++)
			in.regs[i] = s->regs[i];
		n += unwinder_walk(e->ctx.unwinder, &in, e->frames + n, PROFD_MAX_USER_FRAMES,
				   &end);
		note = e->cut[end];
	}
	if (note)
		e->frames[n++] = (struct frame){.module = note->id};
	return n;
}

size_t engine_stack(struct engine *e, const struct sampler_sample *s, struct process *process)
{
	size_t n = add_kernel(e, s);

	return s->has_user ? add_user(e, s, process, n) : n;
}

void engine_name_labels(struct engine *e, struct process *process, struct sample_labels *labels)
{
	if (!process)
		return;
	labels->comm = process->comm;
	labels->thread = process_thread_name(e->ctx.processes, labels->pid, labels->tid);
	labels->unit = process_unit(e->ctx.processes, process);
	labels->life = process->life;
	labels->owner = process_owner(e->ctx.processes, process);
}
