/*
 * What the verbs work on: the rooms' objects, and the few things that only the
 * engine can do. The engine fills this in and owns all that it points to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/control/journal.h"
#include "daemon/cpu/sampler.h"
#include "daemon/cpu/switches.h"
#include "daemon/cpu/wait.h"
#include "daemon/heap/client.h"
#include "daemon/keeper/keeper.h"
#include "daemon/proc/allocator.h"
#include "daemon/proc/process.h"
#include "daemon/profile/freeze.h"
#include "daemon/profile/trace.h"
#include "daemon/profile/window.h"
#include "daemon/scribe/scribe.h"
#include "daemon/stack/unwind.h"
#include "daemon/store/store.h"

struct control_counters {
	uint64_t peers_refused;	       /* more than PROFD_MAX_PEERS at once */
	uint64_t peers_refused_user;   /* beyond one user's share */
	uint64_t peers_waited;	       /* requests put off, as the user's time was spent */
	uint64_t messages_malformed;   /* peers dropped for what they sent */
	uint64_t peers_slow;	       /* peers dropped because they did not read */
	uint64_t attach_refused;       /* tables that were none, or of another version */
	uint64_t attach_other_version; /* of these: of another version */
	uint64_t snapshots_written, snapshots_failed;
	uint64_t windows_restarted; /* the current window was full and nobody rotates */
	uint64_t heaps_last;	    /* last heaps of processes that ended */
	uint64_t reloads, reloads_failed;
	uint64_t labels_lost;  /* CPU samples whose labels were not to be had any more */
	uint64_t rate_changes; /* of the frequency of samples, by a reload */
	uint64_t traces; /* under way */
	uint64_t traces_refused, trace_events_refused;
};

/* CPU samples by the programs' own timers, under a private daemon that may not use
 * perf events. */
struct control_timers {
	unsigned hz;	      /* 0: not in use */
	char refused[256];    /* why perf events were not to be had; "": they were not asked for */
	uint32_t main_module; /* of the command; 0: not known */
	uint64_t samples;
	uint64_t lost, missed;	  /* as in heap/cpu.h */
	uint64_t threads_refused; /* that could have no timer */
	uint64_t confined;	  /* processes that stopped it before they set a filter */
};

/* Clients' tables that the service manager keeps for us. */
struct control_tables {
	uint64_t stored;  /* now */
	uint64_t refused; /* beyond the limit */
	uint64_t restored, restored_dead;
	uint64_t invalid; /* came back and were not what they were called */
};

struct control_offcpu {					       /* since profd started */
	uint64_t stacks, stacks_lost, records_lost, malformed; /* of the scheduler's switches */
	uint64_t ends_lost, threads_refused;
	uint64_t waits_refused;	      /* by full windows */
	uint64_t ends[UNWIND_END_N];  /* of walks of these stacks, */
	uint64_t looks[UNWIND_END_N]; /* and of those of threads that were looked at */
};

/* Whose threads; zero: everybody's. */
struct threads_ask {
	pid_t pid;
	const char *comm, *unit; /* NULL: any; copied */
	bool any_uid;		 /* else only processes of @uid */
	uid_t uid;
};

struct threads_counts {
	uint64_t processes, threads;
	uint64_t stopped; /* of them: for a moment each, */
	uint64_t stopped_ns, stopped_most_ns; /* in all, and the longest */
	uint64_t broken;  /* whose stack could not be walked to its end */
	uint64_t refused; /* beyond PROFD_MAX_THREADS_SEEN */
};

/* @samples is the receiver's; a value, 1 for each thread. */
typedef void (*threads_done_t)(struct aggregate *samples, const struct threads_counts *counts,
			       void *userdata);

struct engine;
struct series;
struct tracing;

struct control_context {
	sd_event *loop;
	struct keeper *keeper;
	struct module_table *modules;
	struct process_table *processes;
	struct heap_clients *clients;
	struct allocators *allocators; /* that programs have inside */
	struct sampler *sampler;       /* NULL: no CPU sampling */
	const char *no_sampler;	       /* then: why */
	struct control_timers timers;
	struct unwinder *unwinder;
	struct windows *windows;
	struct window *rotation;   /* the current window; NULL: no CPU sampling */
	struct switches *switches; /* NULL: nobody asks for off-CPU time now */
	struct wait_table *waits;  /* likewise */
	struct control_offcpu offcpu_counted;
	struct window *offcpu; /* private: the command's off-CPU time; NULL: not wanted */
	struct scribe *scribe;
	struct store *store;
	bool private;	     /* one command's own daemon: its peers are one user */
	pid_t watched;	     /* private: the command */
	unsigned last_waits; /* private: HEAP_WAITS_BIT of what is written at an end */
	uint64_t start_mono_ns;
	struct control_counters counters;
	unsigned last_pending;	      /* last heaps being written (last.h) */
	struct last_file *last_files; /* private: those written, for `finish` */
	struct ended *ended;	      /* the latest first (ended.h) */
	unsigned n_ended;
	uint64_t last_ended_id;
	struct series *series; /* all of them (series.h) */
	struct journal journal;
	struct control_tables tables;

	struct engine *engine;
	void (*drain)(struct engine *e); /* bring the windows up to now */
	/* A table from process @pid; taken over. */
	int (*attach)(struct engine *e, pid_t pid, uid_t uid, int table_fd);
	/* Look for clients that could not reach the socket (from a container, say). */
	void (*scan)(struct engine *e);
	/* Sample @pid's tree; by its own timers if @timers_hz is not 0. -errno: one
	 * line in @why. */
	int (*watch)(struct engine *e, pid_t pid, unsigned timers_hz, char *why, size_t why_size);
	/* A window of off-CPU time, which is measured while any is open. -errno: one line
	 * in @why. What is taken is the caller's; the window's next span begins. */
	int (*offcpu_open)(struct engine *e, struct window **ret_window, char *why,
			   size_t why_size);
	int (*offcpu_take)(struct engine *e, struct window *w, struct window_span *ret_span);
	void (*offcpu_close)(struct engine *e, struct window *w); /* NULL is fine */
	/* Every thread's stack: @done is called once, from the loop, unless this fails. */
	int (*threads)(struct engine *e, const struct threads_ask *ask, threads_done_t done,
		       void *userdata);
	/* A trace of whoever @ask says, from now on. -errno: one line in @why. What is taken
	 * stays the engine's, and ends at *ret_end_ns; nothing more is added to it once it
	 * was taken and before the return to the event loop. */
	int (*trace_open)(struct engine *e, const struct threads_ask *ask, struct tracing **ret_t,
			  char *why, size_t why_size);
	const struct trace *(*trace_take)(struct engine *e, struct tracing *t,
					  uint64_t *ret_end_ns);
	void (*trace_close)(struct engine *e, struct tracing *t); /* NULL is fine */
	void (*trace_mark)(struct engine *e, enum profile_type type, pid_t pid); /* a snapshot */
	void (*quit)(struct engine *e);
};
