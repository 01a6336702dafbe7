/*
 * One profile, from a client, a window, a trace or the threads themselves to a file:
 * for a heap trim, read, freeze, scribe; for threads look, freeze, scribe; for all
 * others freeze, scribe. Returns to the event loop between the steps; sampling goes on.
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/heap/waits.h"
#include "daemon/profile/freeze.h"

struct dump_options {
	bool trim;
	bool send; /* into an unnamed file whose descriptor is handed over, not into the store */
	const char *note; /* one more comment; NULL: none */
};

struct dump_filter { /* cpu, offcpu, trace: whose samples; zero: all */
	pid_t pid;
	const char *comm, *unit;
	bool one_user; /* what @uid may see (sight.h) */
	uid_t uid;
};

struct dump_result {
	int error;	  /* -errno; 0: written */
	const char *why;  /* the error in words */
	const char *type; /* "heap", "cpu", "offcpu", "threads", "block" .. */
	const char *name; /* file name */
	int fd;		  /* with dump_options.send; stays the dump's */
	pid_t pid;	  /* 0: machine */
	const char *comm;
	const char *trim; /* the trim line; "" */
};

typedef void (*dump_done_t)(const struct dump_result *result, void *userdata);

/* Each returns 0 when @done will be called, once and from the loop; else -errno. */
int dump_heap(struct control_context *ctx, struct heap_client *client,
	      const struct dump_options *options, dump_done_t done, void *userdata);

/* The client's waits of @kind, block, mutex or threadcreate, since @mark, which is of
 * @duration_ns ago (NULL, 0: since its process started). Read before this returns. */
int dump_waits(struct control_context *ctx, struct heap_client *client, enum heap_kind kind,
	       const struct heap_waits_mark *mark, uint64_t duration_ns,
	       const struct dump_options *options, dump_done_t done, void *userdata);

/* @type: PROFILE_CPU or PROFILE_OFFCPU, whose window is open still. @span's samples
 * stay the caller's and are read before this returns. */
int dump_cpu(struct control_context *ctx, const struct window_span *span,
	     const struct dump_filter *filter, enum profile_type type,
	     const struct dump_options *options, dump_done_t done, void *userdata);

/* What @trace has up to now: of what @filter says, and what its user may see. */
int dump_trace(struct control_context *ctx, struct tracing *trace, const struct dump_filter *filter,
	       const struct dump_options *options, dump_done_t done, void *userdata);

/* Every thread's stack now, of the processes that @ask says. */
int dump_threads(struct control_context *ctx, const struct threads_ask *ask,
		 const struct dump_options *options, dump_done_t done, void *userdata);
