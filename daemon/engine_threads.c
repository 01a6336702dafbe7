/*
 * Every thread's stack now, taken from outside. A request becomes a job: the processes
 * are listed once, and then, a few at each turn of the loop, their threads are looked
 * at, so that rings are drained and peers are answered meanwhile. What a thread does
 * while the job is under way is seen or not, as it happens; those that hang are seen in
 * any case.
 *
 * A thread that sleeps is looked at as it is. One that runs, or whose stack takes more
 * registers than its sleep tells, is stopped, read and let go at once, each by itself;
 * but only where it does not notice (may_stop()).
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "daemon/engine_internal.h"
#include "daemon/proc/identity.h"
#include "daemon/proc/pids.h"
#include "daemon/proc/waiting.h"
#include "profd/base.h"
#include "proto/array.h"

#define THREADS_A_TURN 32 /* some 30 us each */

struct threads_job {
	struct engine *engine;
	struct threads_job *next;
	struct threads_ask ask; /* its names are owned */
	threads_done_t done;
	void *userdata;
	sd_event_source *source;

	ARRAY_TABLE(pid_t) pids;
	size_t at_pid; /* the next */
	pid_t pid;     /* whose threads are being looked at */
	bool filtered; /* it has a filter of system calls */
	ARRAY_TABLE(pid_t) tids;
	size_t at_tid; /* the next */

	struct aggregate *samples;
	struct threads_counts counts;
	struct module *running, *hidden; /* notes */
};

static void free_job(struct threads_job *job)
{
	if (!job)
		return;
	sd_event_source_disable_unref(job->source);
	aggregate_free(job->samples);
	free((char *)job->ask.comm);
	free((char *)job->ask.unit);
	free(job->pids.items);
	free(job->tids.items);
	free(job);
}

/* The receiver is told, with all that there is, or with nothing. */
static void end_job(struct threads_job *job, struct aggregate *samples)
{
	struct threads_job **at = &job->engine->threads;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (!job->engine->threads && !job->engine->offcpu)
		keeper_rest(job->engine->ctx.keeper);
	job->done(samples, &job->counts, job->userdata);
	free_job(job);
}

/* ---- which */

static bool on_thread(pid_t tid, void *userdata)
{
	struct threads_job *job = userdata;
	pid_t *item;

	if (job->counts.threads == PROFD_MAX_THREADS_SEEN) {
		job->counts.refused++;
		return true;
	}
	item = array_add(&job->tids);
	if (!item)
		return false;
	*item = tid;
	job->counts.threads++;
	return true;
}

static void on_process(pid_t pid, void *userdata)
{
	struct threads_job *job = userdata;
	pid_t *item = array_add(&job->pids);

	if (item)
		*item = pid;
}

/* Threads of the kernel have no mappings, and are nobody's. */
static bool is_wanted(struct threads_job *job, pid_t pid)
{
	struct engine *e = job->engine;
	struct process *process = process_get(e->ctx.processes, pid);
	const char *unit;
	uid_t uid;

	if (!process || process->n_maps == 0)
		return false;
	if (!job->ask.any_uid &&
	    (process_read_owner(e->ctx.keeper, pid, &uid) < 0 || uid != job->ask.uid))
		return false;
	if (job->ask.comm && strcmp(process->comm, job->ask.comm) != 0)
		return false;
	unit = job->ask.unit ? process_unit(e->ctx.processes, process) : NULL;
	return !job->ask.unit || (unit && strcmp(unit, job->ask.unit) == 0);
}

/* Goes to the next process that is wanted. False: there is none. */
static bool next_process(struct threads_job *job)
{
	while (job->at_pid < job->pids.n) {
		job->pid = job->pids.items[job->at_pid++];
		job->tids.n = job->at_tid = 0;
		if (!is_wanted(job, job->pid))
			continue;
		job->filtered = true; /* if it cannot be told */
		(void)process_read_filtered(job->engine->ctx.keeper, job->pid, &job->filtered);
		(void)process_each_thread(job->engine->ctx.keeper, job->pid, on_thread, job);
		job->counts.processes += job->tids.n > 0;
		if (job->tids.n > 0)
			return true;
	}
	return false;
}

/* ---- what they do */

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
	case 'I':
		return "sleeping";
	case 'D':
		return "uninterruptible";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	default:
		return "unknown";
	}
}

/*
 * A wait that is interrupted begins anew by itself in these system calls, and only in
 * these: others, epoll_wait for one, return EINTR to a program that has never seen it.
 * Some begin anew by another system call, restart_syscall, and a filter may end the
 * program for that.
 */
static bool may_stop(const struct threads_job *job, const struct waiting *w)
{
	static const long restarted[] = {
		-1, /* in none: at a page fault */
		SYS_clock_nanosleep, SYS_flock, SYS_futex,  SYS_nanosleep,     SYS_pause,
		SYS_poll,	     SYS_ppoll, SYS_select, SYS_rt_sigsuspend, SYS_pselect6,
		SYS_wait4,	     SYS_waitid,
	};

	if (w->state == 'R')
		return true;
	for (size_t i = 0; w->state == 'S' && !job->filtered && i < ARRAY_SIZE(restarted); i++)
		if (w->syscall == restarted[i])
			return true;
	return false;
}

/* As long as it stands still by itself, it is not stopped. */
static size_t look_twice(struct threads_job *job, pid_t tid, const struct waiting *w,
			 enum unwind_end *ret_end)
{
	struct engine *e = job->engine;
	size_t n = 0;
	uint64_t ns;
	int r;

	*ret_end = UNWIND_NO_REG;
	if (w->state != 'R')
		n = engine_look(e, job->pid, tid, w, ret_end);
	if (*ret_end != UNWIND_NO_REG || !may_stop(job, w))
		return n;
	r = engine_look_stopped(e, job->pid, tid, w, &ns, ret_end);
	if (r < 0)
		return n;
	job->counts.stopped++;
	job->counts.stopped_ns += ns;
	job->counts.stopped_most_ns = max(job->counts.stopped_most_ns, ns);
	return (size_t)r;
}

/* Fills the engine's frames; returns their number. */
static size_t stack_of(struct threads_job *job, pid_t tid, const struct waiting *w)
{
	struct engine *e = job->engine;
	enum unwind_end end;
	size_t n = look_twice(job, tid, w, &end);
	const struct module *note = e->cut[end];

	if (n == 0)
		note = w->state == 'R' ? job->running : job->hidden;
	job->counts.broken += note != NULL;
	if (note)
		e->frames[n++] = (struct frame){.module = note->id};
	return n;
}

static int look_at(struct threads_job *job, pid_t tid)
{
	struct engine *e = job->engine;
	struct sample sample = {
		.frames = e->frames,
		.labels = {.pid = job->pid, .tid = tid},
		.values = {1},
	};
	struct waiting w;
	int r = waiting_look(e->ctx.keeper, job->pid, tid, &w);

	if (r < 0 && r != -EAGAIN) { /* it is gone */
		job->counts.threads--;
		return 0;
	}
	sample.n_frames = stack_of(job, tid, &w);
	sample.labels.state = state_name(w.state);
	if (w.n_functions > 0)
		sample.labels.wchan = w.functions[0];
	engine_name_labels(e, process_peek(e->ctx.processes, job->pid), &sample.labels);
	return aggregate_add(job->samples, &sample);
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct threads_job *job = userdata;
	int r = 0;

	for (int i = 0; r == 0 && i < THREADS_A_TURN; i++) {
		if (job->at_tid == job->tids.n && !next_process(job)) {
			end_job(job, take_ptr(job->samples));
			return 0;
		}
		r = look_at(job, job->tids.items[job->at_tid++]);
	}
	if (r < 0)
		end_job(job, NULL);
	return 0;
}

/* ---- jobs */

static int copy_name(const char *name, const char **ret_copy)
{
	*ret_copy = name ? strdup(name) : NULL;
	return name && !*ret_copy ? -ENOMEM : 0;
}

static int start_job(struct threads_job *job, const struct threads_ask *ask)
{
	struct engine *e = job->engine;
	int r;

	job->ask = *ask;
	job->ask.comm = job->ask.unit = NULL;
	if ((r = copy_name(ask->comm, &job->ask.comm)) < 0 ||
	    (r = copy_name(ask->unit, &job->ask.unit)) < 0 ||
	    (r = aggregate_new(1, PROFD_MAX_THREADS_SEEN, &job->samples)) < 0)
		return r;
	job->running = module_get_note(e->ctx.modules, "[running]");
	job->hidden = module_get_note(e->ctx.modules, "[stack not to be read]");
	if (!job->running || !job->hidden)
		return -ENOMEM;
	if (ask->pid)
		on_process(ask->pid, job);
	else
		r = process_each_pid(e->ctx.keeper, on_process, job);
	return r < 0 ? r : sd_event_add_defer(e->ctx.loop, &job->source, on_turn, job);
}

int engine_threads_begin(struct engine *e, const struct threads_ask *ask, threads_done_t done,
			 void *userdata)
{
	struct threads_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	job->engine = e;
	job->done = done;
	job->userdata = userdata;
	r = start_job(job, ask);
	if (r >= 0)
		r = sd_event_source_set_enabled(job->source, SD_EVENT_ON);
	if (r < 0) {
		free_job(job);
		return r;
	}
	if (e->ctx.sampler)
		engine_drain(e); /* what is mapped by now */
	else
		process_distrust(e->ctx.processes);
	job->next = e->threads;
	e->threads = job;
	return 0;
}

static int keep_module(const struct sample *s, void *userdata)
{
	struct module_table *modules = userdata;

	for (size_t i = 0; i < s->n_frames; i++)
		module_keep_id(modules, s->frames[i].module);
	return 0;
}

void engine_threads_keep_modules(struct engine *e)
{
	for (const struct threads_job *job = e->threads; job; job = job->next) {
		module_keep(job->running);
		module_keep(job->hidden);
		(void)aggregate_each(job->samples, keep_module, e->ctx.modules);
	}
}

void engine_threads_free(struct engine *e)
{
	while (e->threads)
		end_job(e->threads, NULL);
}
