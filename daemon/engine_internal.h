/*
 * The engine's own state, shared by its files: engine.c (its life),
 * engine_cpu.c (records to samples), engine_stack.c (their stacks), engine_labels.c
 * (their labels), engine_timers.c (samples that clients took), engine_offcpu.c (waits),
 * engine_trace.c (traces), engine_look.c and engine_threads.c (threads from outside),
 * engine_clients.c (clients come and go),
 * engine_memory.c (nothing grows with time), engine_reload.c (settings change),
 * engine_service.c (the service manager).
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/control/series.h"
#include "daemon/control/server.h"
#include "daemon/engine.h"
#include "daemon/fdstore.h"
#include "daemon/notify.h"
#include "daemon/watchdog.h"
#include "profd/limits.h"

struct offcpu;
struct threads_job;
struct tracing;
struct waiting;

#define ENGINE_LOOKED 64
#define SOCKET_NAME   "profd.sock" /* in config->runtime_dir */

struct engine_looked { /* during a drain */
	pid_t pid;
	struct heap_client *client; /* NULL: it has no labels */
};

struct engine {
	const struct config *config;
	const struct config *started_with;
	struct config *reloaded; /* then it is this one, ours; NULL: the caller's */
	struct control_context ctx;
	struct server *server;
	struct series *rotation;
	bool leaving;
	int shelf; /* where the starter keeps tables; -1: there is none */
	struct watchdog watchdog;
	sd_event_source *feed_timer; /* NULL: nobody wants to be told that we live */
	uint64_t drained_ns;	     /* when the rings were drained last */
	uint64_t quarantined_told;
	char status_told[NOTIFY_STATUS_BYTES];
	sd_event_source *drain_timer;
	sd_event_source *look; /* at what runs already; NULL: not wanted */
	sd_event_source *retain_timer;
	sd_event_source *sweep_timer;
	uint64_t swept_mono_ns;
	uint64_t from_ns;	  /* samples before this were taken from another sampler */
	bool tree_only;		  /* samples of processes that are not watched are dropped */
	uint64_t scanned_mono_ns; /* 0: never */
	sd_event_source *quit_timer;
	uint64_t quit_by_mono_ns;
	struct offcpu *offcpu;	     /* NULL: nobody asks for it now */
	struct threads_job *threads; /* under way */
	struct tracing *traces;	     /* likewise */
	uint64_t lost;		     /* records of processes lost by the last drain's end */
	sd_event_source **rings;
	size_t n_rings;
	uint64_t samples_seen, samples_wanted;	    /* tree_only: all, and the tree's */
	struct engine_looked looked[ENGINE_LOOKED]; /* by pid */
	uint64_t drains;
	double lost_share; /* of one sample: what rounding has left over */

	/* frames of the sample being joined */
	struct frame frames[PROFD_MAX_FRAMES + PROFD_MAX_USER_FRAMES + 1];
	struct module *kernel;
	struct module *unknown, *missing; /* notes: what a frame stands in for */
	struct module *cut[UNWIND_END_N]; /* likewise, by how a walk ended; NULL: no note */
};

/* engine_cpu.c: CPU sampling, for the machine (@pid 0) or for a tree. */
int engine_start_cpu(struct engine *e, pid_t pid, char *why, size_t why_size);
/* Opens a sampler as @config says, and nothing else. */
int engine_open_sampler(struct engine *e, const struct config *config, pid_t pid,
			struct sampler **ret_sampler, char *why, size_t why_size);
int engine_start_draining(struct engine *e);
int engine_watch_tree(struct engine *e, pid_t pid, char *why, size_t why_size);
void engine_drain(struct engine *e);
void engine_stop_cpu(struct engine *e); /* nothing is drained any more */
void engine_drain_to(struct engine *e, uint64_t horizon_ns);

/* engine_stack.c: fills e->frames; returns their number. @process NULL: not known. */
size_t engine_stack(struct engine *e, const struct sampler_sample *s, struct process *process);
/* Whose it is, by the ids that are in @labels. */
void engine_name_labels(struct engine *e, struct process *process, struct sample_labels *labels);

/* engine_labels.c: the program's own. _begin() before a drain. */
void engine_labels_begin(struct engine *e);
/* Of the thread at that time; NULL: none, or not known. Holds until the next drain. */
const char *engine_labels(struct engine *e, const struct sampler_sample *s);
/* Before @client's table is let go of. */
void engine_labels_settle(struct engine *e, const struct heap_client *client);

/* engine_offcpu.c: measured as long as a window of it is open. */
int engine_offcpu_open(struct engine *e, struct window **ret_window, char *why, size_t why_size);
/* Before what is known of a thread or a program changes for good at @time_ns. */
void engine_offcpu_catch_up(struct engine *e, uint64_t time_ns);
int engine_offcpu_take(struct engine *e, struct window *w, struct window_span *ret_span);
void engine_offcpu_close(struct engine *e, struct window *w); /* NULL is fine */
void engine_offcpu_free(struct engine *e);		      /* and all its windows */
void engine_offcpu_keep_modules(struct engine *e);
/* Switches are told, without a window, until the release. */
int engine_offcpu_hold(struct engine *e, char *why, size_t why_size);
void engine_offcpu_release(struct engine *e);
void engine_offcpu_drain(struct engine *e); /* up to now; while it is measured or held */

/* engine_trace.c: traces under way, and what the other paths tell them. */
int engine_trace_open(struct engine *e, const struct threads_ask *ask, struct tracing **ret_t,
		      char *why, size_t why_size);
const struct trace *engine_trace_take(struct engine *e, struct tracing *t, uint64_t *ret_end_ns);
void engine_trace_close(struct engine *e, struct tracing *t); /* NULL is fine */
void engine_trace_keep_modules(struct engine *e);
void engine_trace_switch(struct engine *e, const struct switches_switch *s);
void engine_trace_stack(struct engine *e, const struct sample *s, uint64_t time_ns, bool waits);
void engine_trace_start(struct engine *e, pid_t pid, pid_t tid, uint64_t time_ns);
void engine_trace_exit(struct engine *e, pid_t pid, pid_t tid, uint64_t time_ns);
void engine_trace_renamed(struct engine *e, pid_t pid, pid_t tid, bool exec);
void engine_trace_lost(struct engine *e, uint64_t since_ns);
void engine_trace_mark(struct engine *e, enum profile_type type, pid_t pid); /* a snapshot */

/* engine_look.c: fills e->frames with where a thread sleeps, that is @w; returns their
 * number. *ret_end: how the walk of the callers ended. */
size_t engine_look(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
		   enum unwind_end *ret_end);
/* The same of a thread that is stopped meanwhile, and for how long. Or -errno. */
int engine_look_stopped(struct engine *e, pid_t pid, pid_t tid, const struct waiting *w,
			uint64_t *ret_stopped_ns, enum unwind_end *ret_end);
void engine_count_walks(struct engine *e, const struct unwind_stats *before, uint64_t *ends);

/* engine_threads.c: every thread's stack now. */
int engine_threads_begin(struct engine *e, const struct threads_ask *ask, threads_done_t done,
			 void *userdata);
void engine_threads_keep_modules(struct engine *e);
void engine_threads_free(struct engine *e); /* all that are under way; nobody is told */

/* engine_timers.c: CPU samples that clients take themselves. */
int engine_watch_timers(struct engine *e, pid_t pid, unsigned hz, char *why, size_t why_size);
void engine_collect_client(struct engine *e, struct heap_client *client);
void engine_bring_up(struct engine *e); /* the windows, from all sources */

/* engine_clients.c */
int engine_watch_client(struct engine *e, struct heap_client *c); /* one that is in the table */
int engine_attach(struct engine *e, pid_t pid, uid_t uid, int table_fd);
void engine_scan_clients(struct engine *e); /* at most once in SCAN_EVERY_NS */

/* engine.c */
int engine_start_rotation(struct engine *e); /* as e->config says */
int engine_add_debug_dirs(struct engine *e);
/* CPU sampling, if it is granted; in the loop, before anything else, what runs already. */
int engine_start_machine(struct engine *e);

/* engine_service.c: the service manager, and the tables that it keeps. */
void engine_restore_tables(struct engine *e, struct fdstore_handover *handover);
void engine_store_table(struct engine *e, struct heap_client *c);
void engine_forget_table(struct engine *e, struct heap_client *c);
int engine_start_watchdog(struct engine *e);
void engine_tell_started(struct engine *e); /* once */
void engine_tell_news(struct engine *e);    /* now and then */

/* engine_reload.c: settings are read anew when SIGHUP comes. */
int engine_listen_to_hangup(struct engine *e);

/* engine_memory.c. To be called between events, where nobody holds a module. */
void engine_check_memory(struct engine *e);
int engine_start_sweeping(struct engine *e);
