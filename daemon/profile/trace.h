/*
 * A trace: what threads did, event by event, from its start to its end. Who it was, and on
 * which stack, is an entry of an aggregate (with the value 1); an event is a few numbers
 * and refers to one. So events are small and of one size, what is in them is ours, and
 * whose they are is decided when the aggregate is frozen, as for any profile.
 *
 * The two go to the scribe: the frozen aggregate as a profile, to be given names, and the
 * events as bytes: a struct trace_header and its events, in no particular order of time.
 * There slices are made of them (scribe/trace.h).
 *
 * Bounded: beyond PROFD_MAX_TRACE_EVENTS the trace ends early, and says when; what has no
 * entry any more because the aggregate is full is counted.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/profile/aggregate.h"

enum trace_kind {
	TRACE_START,	 /* a thread begins */
	TRACE_EXIT,	 /* and ends */
	TRACE_IN,	 /* it is on a CPU from here on */
	TRACE_OUT,	 /* not any more: it waits */
	TRACE_PREEMPTED, /* not any more, but it could go on */
	TRACE_ASLEEP,	 /* it was found waiting, with wchan */
	TRACE_READY,	 /* it was found running, or ready to */
	TRACE_STACK,	 /* where it waits: comes before its TRACE_OUT */
	TRACE_SAMPLE,	 /* of CPU time */
	TRACE_SNAPSHOT,	 /* `detail`: the enum profile_type; no entry: of the whole machine */
	TRACE_LOST,	 /* no entry; events are missing from here on */
	TRACE_KIND_N,
};

#define TRACE_NO_ENTRY UINT32_MAX
#define TRACE_NO_CPU   UINT16_MAX

struct trace_event {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t entry;	  /* of the aggregate; on its way to the scribe: sample of the profile */
	uint16_t cpu;
	uint8_t kind;
	uint8_t detail;
};
static_assert(sizeof(struct trace_event) == 16, "goes between processes");

#define TRACE_MAGIC 0x3165636172746470ULL

struct trace_header {
	uint64_t magic;
	uint64_t start_ns, end_ns; /* as of the events */
	int64_t start_unix_ns;
	uint64_t n_events;
	uint64_t refused; /* events beyond the limit: it ends before the first of them */
	uint64_t stacks_refused;
};
static_assert(sizeof(struct trace_header) == 56, "goes between processes");

struct trace;

/* From @start_ns on, which is @start_unix_ns. Returns 0 or -ENOMEM. */
int trace_new(uint64_t start_ns, int64_t start_unix_ns, struct trace **ret_trace);
void trace_free(struct trace *t);

/*
 * The entry of a thread, by its id: found once and kept until the thread or its process
 * changes its name or program. False: not known, and then trace_set_thread() tells;
 * TRACE_NO_ENTRY: its events are not wanted.
 */
bool trace_find_thread(const struct trace *t, pid_t tid, uint32_t *ret_entry);
void trace_set_thread(struct trace *t, pid_t pid, pid_t tid, uint32_t entry);
void trace_forget(struct trace *t, pid_t pid); /* all threads of the process */
void trace_forget_thread(struct trace *t, pid_t tid);

/* The entry of a thread (no frames) or of its stack; TRACE_NO_ENTRY: no room. */
uint32_t trace_entry(struct trace *t, const struct sample *s);

/* What is before the trace's start is left out. */
void trace_add(struct trace *t, const struct trace_event *event);

const struct aggregate *trace_aggregate(const struct trace *t);
uint64_t trace_refused(const struct trace *t); /* events and stacks */

/* The bytes for the scribe, malloc'd: the events up to @end_ns, with the samples that their
 * entries have become (@samples as struct frozen has them); those of entries that were left
 * out are left out. Returns 0 or -ENOMEM. */
int trace_pack(const struct trace *t, uint64_t end_ns, const uint32_t *samples, void **ret_bytes,
	       size_t *ret_n);
