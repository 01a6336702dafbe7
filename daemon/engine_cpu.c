/*
 * The CPU path: ring -> record -> process and mapping at that time -> unwind ->
 * struct sample -> every open window. The rooms on the way do not know one
 * another; this file hands each one's result to the next.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "daemon/cpu/record.h"
#include "daemon/engine_internal.h"
#include "profd/base.h"

#define DRAIN_EVERY_US 250000
/* Records reach a ring some time after their timestamp was taken; what is
 * younger than this waits for the next drain, so that all rings are merged in
 * the order of time. */
#define SETTLE_NS      (20 * NSEC_PER_MSEC)
/* Records may speak of a process that has exited for as long as they wait. */
#define REAP_AFTER_NS  (2 * NSEC_PER_SEC)

static void on_comm(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
		    void *userdata)
{
	struct engine *e = userdata;

	process_on_comm(e->ctx.processes, pid, tid, comm, exec, time_ns);
}

static void on_fork(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	if (pid != parent) /* else a thread */
		process_on_fork(e->ctx.processes, pid, parent, time_ns);
}

static void on_gone(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	process_on_exit(e->ctx.processes, pid, tid, time_ns);
}

static void on_mmap(const struct sampler_mmap *m, void *userdata)
{
	struct engine *e = userdata;
	struct process_mmap mmap = {
		.pid = m->pid,
		.start = m->start,
		.bytes = m->bytes,
		.file_offset = m->file_offset,
		.path = m->path,
		.key =
			{
				.dev = makedev(m->major, m->minor),
				.inode = m->inode,
				.inode_generation = m->inode_generation,
				.build_id = m->build_id,
				.build_id_bytes = m->build_id_bytes,
			},
		.executable = m->executable,
	};

	process_on_mmap(e->ctx.processes, &mmap);
}

/* Kernel frames: the first is where it was, the others are return addresses. */
static size_t add_kernel(struct engine *e, const struct sampler_sample *s)
{
	size_t n = min(s->n_kernel_frames, (size_t)PROFD_MAX_FRAMES);

	for (size_t i = 0; i < n; i++)
		e->frames[i] = (struct frame){.module = e->kernel->id,
					      .offset = s->kernel_frames[i] - (i > 0)};
	return n;
}

static struct module *end_note(struct engine *e, enum unwind_end end)
{
	switch (end) {
	case UNWIND_COMPLETE:
	case UNWIND_END_N:
		return NULL;
	case UNWIND_TRUNCATED:
	case UNWIND_DEPTH:
		return e->cut;
	case UNWIND_NO_MAP:
	case UNWIND_NO_CFI:
	case UNWIND_BROKEN:
		return e->broken;
	}
	return NULL;
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
		n += unwinder_walk(e->ctx.unwinder, &in, e->frames + n, PROFD_MAX_FRAMES, &end);
		note = end_note(e, end);
	}
	if (note)
		e->frames[n++] = (struct frame){.module = note->id};
	return n;
}

static void on_sample(const struct sampler_sample *s, void *userdata)
{
	struct engine *e = userdata;
	struct process_table *processes = e->ctx.processes;
	struct process *process = process_get(processes, s->pid);
	struct sample sample = {
		.frames = e->frames,
		.labels = {.pid = s->pid, .tid = s->tid},
		.values = {1, sampler_period_ns(e->ctx.sampler)},
	};

	if (e->tree_only && !(process && process->watched))
		return;
	sample.n_frames = add_kernel(e, s);
	if (s->has_user)
		sample.n_frames = add_user(e, s, process, sample.n_frames);
	if (process) {
		sample.labels.comm = process->comm;
		sample.labels.thread = process_thread_name(processes, s->pid, s->tid);
		sample.labels.unit = process_unit(processes, process);
	}
	windows_add(e->ctx.windows, &sample);
}

static void drain_to(struct engine *e, uint64_t horizon_ns)
{
	static const struct sampler_handlers handlers = {
		.on_sample = on_sample,
		.on_comm = on_comm,
		.on_fork = on_fork,
		.on_exit = on_gone,
		.on_mmap = on_mmap,
	};

	struct sampler_stats stats;

	sampler_drain(e->ctx.sampler, horizon_ns, &handlers, e);
	sampler_stats(e->ctx.sampler, &stats);
	if (stats.lost != e->lost) /* a mapping or an exec may be among them */
		process_distrust(e->ctx.processes);
	e->lost = stats.lost;
	process_reap(e->ctx.processes, control_mono_ns() - REAP_AFTER_NS);
}

void engine_drain(struct engine *e)
{
	if (e->ctx.sampler)
		drain_to(e, UINT64_MAX);
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct engine *e = userdata;

	if (events & (EPOLLHUP | EPOLLERR)) /* the tree has ended: nothing more to wake for */
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	drain_to(e, control_mono_ns() - SETTLE_NS);
	return 0;
}

static int on_drain_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;

	drain_to(e, control_mono_ns() - SETTLE_NS);
	sd_event_source_set_time_relative(source, DRAIN_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int listen_to_rings(struct engine *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sampler_n_fds(e->ctx.sampler); i++)
		r = sd_event_add_io(e->ctx.loop, NULL, sampler_fd(e->ctx.sampler, i), EPOLLIN,
				    on_ring, e);
	if (r < 0)
		return r;
	return sd_event_add_time_relative(e->ctx.loop, &e->drain_timer, CLOCK_MONOTONIC,
					  DRAIN_EVERY_US, DRAIN_EVERY_US / 4, on_drain_timer, e);
}

int engine_start_cpu(struct engine *e, pid_t pid, char *why, size_t why_size)
{
	struct sampler_config config = {
		.event = e->config->event,
		.frequency_hz = e->config->frequency_hz,
		.pid = pid,
	};
	int r;

	/* the sampler hands registers over in perf's order, the unwinder takes them */
	assert(RECORD_REGS_USER == unwind_perf_regs);
	r = sampler_new(e->ctx.keeper, &config, &e->ctx.sampler, why, why_size);
	if (r < 0)
		return r;
	r = listen_to_rings(e);
	if (r >= 0)
		r = window_open(e->ctx.windows, control_unix_ns(), &e->ctx.rotation);
	if (r < 0)
		snprintf(why, why_size, "cpu sampling: out of memory");
	return r;
}

/* The kernel gives every task of a tree an event with a period of its own, so a
 * program that lives for less than one is never sampled. Where sampling the
 * whole machine is allowed, the tree is picked out of that. */
int engine_watch_tree(struct engine *e, pid_t pid, char *why, size_t why_size)
{
	struct process *process = process_get(e->ctx.processes, pid);

	if (process && engine_start_cpu(e, 0, why, why_size) >= 0) {
		process->watched = true;
		e->tree_only = true;
		return 0;
	}
	return engine_start_cpu(e, pid, why, why_size);
}
