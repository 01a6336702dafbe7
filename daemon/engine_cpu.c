/*
 * The CPU path: ring -> record -> process and mapping at that time -> unwind ->
 * struct sample -> every open window. The rooms on the way do not know one
 * another; this file hands each one's result to the next.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "daemon/control/losses.h"
#include "daemon/cpu/record.h"
#include "daemon/engine_internal.h"
#include "profd/base.h"

#define DRAIN_EVERY_US 250000
/* Records reach a ring some time after their timestamp was taken; what is
 * younger than this waits for the next drain, so that all rings are merged in
 * the order of time. */
#define SETTLE_NS      (20 * NSEC_PER_MSEC)
/* A ring that is half full may be full before that. */
#define SETTLE_FULL_NS NSEC_PER_MSEC
/* Records may speak of a process that has exited for as long as they wait. */
#define REAP_AFTER_NS  (2 * NSEC_PER_SEC)

static void on_comm(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
		    void *userdata)
{
	struct engine *e = userdata;

	if (time_ns < e->from_ns)
		return;
	if (exec)
		engine_offcpu_catch_up(e, time_ns);
	process_on_comm(e->ctx.processes, pid, tid, comm, exec, time_ns);
	engine_trace_renamed(e, pid, tid, exec);
}

static void on_fork(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	if (time_ns < e->from_ns)
		return;
	if (pid != parent) /* else a thread */
		process_on_fork(e->ctx.processes, pid, parent, time_ns);
	engine_trace_start(e, pid, tid, time_ns);
}

static void on_gone(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	if (time_ns < e->from_ns)
		return;
	engine_offcpu_catch_up(e, time_ns);
	engine_trace_exit(e, pid, tid, time_ns);
	process_on_exit(e->ctx.processes, pid, tid, time_ns);
}

static void on_mmap(const struct process_mmap *m, uint64_t time_ns, void *userdata)
{
	struct engine *e = userdata;

	if (time_ns >= e->from_ns)
		process_on_mmap(e->ctx.processes, m);
}

static void on_sample(const struct sampler_sample *s, void *userdata)
{
	struct engine *e = userdata;
	struct process *process = process_get(e->ctx.processes, s->pid);
	struct sample sample = {
		.frames = e->frames,
		.labels = {.pid = s->pid, .tid = s->tid},
	};

	if (s->time_ns < e->from_ns)
		return;
	e->samples_seen++;
	if (e->tree_only && !(process && process->watched))
		return;
	e->samples_wanted++;
	sampler_values(e->ctx.sampler, 1, s->period, sample.values);
	sample.n_frames = engine_stack(e, s, process);
	engine_name_labels(e, process, &sample.labels);
	sample.labels.own = engine_labels(e, s);
	windows_add(e->ctx.windows, &sample);
	engine_trace_stack(e, &sample, s->time_ns, false);
}

/* Whose they were nobody knows. Where a tree is picked out of the machine, it is
 * taken to have lost the share that it has of what was not lost. */
static void on_lost(uint64_t n, uint64_t period, void *userdata)
{
	struct engine *e = userdata;
	int64_t values[SAMPLER_VALUES_MAX];

	if (e->tree_only && e->samples_seen > 0) {
		e->lost_share += (double)n * (double)e->samples_wanted / (double)e->samples_seen;
		n = (uint64_t)e->lost_share;
		e->lost_share -= (double)n;
	}
	sampler_values(e->ctx.sampler, n, period, values);
	if (n > 0)
		windows_add_lost(e->ctx.windows, values);
}

void engine_drain_to(struct engine *e, uint64_t horizon_ns)
{
	static const struct sampler_handlers handlers = {
		.on_sample = on_sample,
		.on_comm = on_comm,
		.on_fork = on_fork,
		.on_exit = on_gone,
		.on_mmap = on_mmap,
		.on_lost = on_lost,
	};
	struct sampler_stats stats;
	uint64_t lost;

	engine_labels_begin(e);
	sampler_drain(e->ctx.sampler, horizon_ns, &handlers, e);
	e->drained_ns = clock_mono_ns();
	sampler_stats(e->ctx.sampler, &stats);
	lost = stats.lost_records + (stats.exact ? 0 : stats.lost);
	if (lost != e->lost) /* a mapping or an exec may be among them */
		process_distrust(e->ctx.processes);
	e->lost = lost;
	process_reap(e->ctx.processes, clock_mono_ns() - REAP_AFTER_NS);
}

void engine_drain(struct engine *e)
{
	if (e->ctx.sampler)
		engine_drain_to(e, UINT64_MAX);
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct engine *e = userdata;

	if (events & (EPOLLHUP | EPOLLERR)) /* the tree has ended: nothing more to wake for */
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	engine_drain_to(e, clock_mono_ns() - SETTLE_FULL_NS);
	return 0;
}

static void leave_rings(struct engine *e)
{
	for (size_t i = 0; i < e->n_rings; i++)
		sd_event_source_disable_unref(e->rings[i]);
	free(e->rings);
	e->rings = NULL;
	e->n_rings = 0;
}

static int listen_to_rings(struct engine *e)
{
	size_t n = sampler_n_fds(e->ctx.sampler);
	int r = 0;

	e->rings = calloc(n + 1, sizeof(*e->rings));
	if (!e->rings)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = sd_event_add_io(e->ctx.loop, &e->rings[i], sampler_fd(e->ctx.sampler, i),
				    EPOLLIN, on_ring, e);
		e->n_rings += r >= 0;
	}
	return r;
}

/* Rings that nobody listens to are still drained by the timer. */
static void follow_cpus(struct engine *e)
{
	if (!sampler_check_cpus(e->ctx.sampler, clock_mono_ns()))
		return;
	engine_drain(e);
	leave_rings(e);
	sampler_update_cpus(e->ctx.sampler);
	(void)listen_to_rings(e);
}

static int on_drain_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;

	engine_drain_to(e, clock_mono_ns() - SETTLE_NS);
	follow_cpus(e);
	engine_check_memory(e);
	sd_event_source_set_time_relative(source, DRAIN_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int engine_start_draining(struct engine *e)
{
	int r = listen_to_rings(e);

	if (r < 0)
		return r;
	return sd_event_add_time_relative(e->ctx.loop, &e->drain_timer, CLOCK_MONOTONIC,
					  DRAIN_EVERY_US, DRAIN_EVERY_US / 4, on_drain_timer, e);
}

void engine_stop_cpu(struct engine *e)
{
	leave_rings(e);
	e->drain_timer = sd_event_source_disable_unref(e->drain_timer);
}

/* The shape of the samples is known once the sampler has its event. */
static int open_rotation(struct engine *e)
{
	int64_t values[SAMPLER_VALUES_MAX];
	struct window_moment now;

	windows_set_shape(e->ctx.windows, sampler_values(e->ctx.sampler, 0, 0, values),
			  e->missing->id);
	losses_moment(&e->ctx, &now);
	return window_open(e->ctx.windows, &now, &e->ctx.rotation);
}

int engine_open_sampler(struct engine *e, const struct config *config, pid_t pid,
			struct sampler **ret_sampler, char *why, size_t why_size)
{
	struct sampler_config sampling = {
		.event = config->event,
		.frequency_hz = config->frequency_hz,
		.pid = pid,
		.ring_bytes = config->ring_bytes,
	};

	/* the sampler hands registers over in perf's order, the unwinder takes them */
	assert(RECORD_REGS_USER == unwind_perf_regs);
	return sampler_new(e->ctx.keeper, &sampling, ret_sampler, why, why_size);
}

int engine_start_cpu(struct engine *e, pid_t pid, char *why, size_t why_size)
{
	int r = engine_open_sampler(e, e->config, pid, &e->ctx.sampler, why, why_size);

	if (r < 0)
		return r;
	r = engine_start_draining(e);
	if (r >= 0)
		r = open_rotation(e);
	if (r < 0)
		snprintf(why, why_size, "cpu sampling: out of memory");
	return r;
}

/* The kernel gives every task of a tree an event with a period of its own, so a
 * program that lives for less than one is never sampled. Where sampling the
 * whole machine is allowed, the tree is picked out of that. (Not so events that
 * are counted: of these the kernel takes a task's first one, and all of a whole
 * machine's would fill the rings.) */
int engine_watch_tree(struct engine *e, pid_t pid, char *why, size_t why_size)
{
	struct process *process = process_get(e->ctx.processes, pid);

	if (process && sampler_measures_time(e->ctx.keeper, e->config->event) &&
	    engine_start_cpu(e, 0, why, why_size) >= 0) {
		process->watched = true;
		e->tree_only = true;
		return 0;
	}
	return engine_start_cpu(e, pid, why, why_size);
}
