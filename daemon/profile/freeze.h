/*
 * Freezing: an aggregate becomes a raw pprof profile, that is one whose
 * locations have mappings and addresses but no names yet. The scribe adds the
 * names.
 *
 * Addresses are unique in a profile: where modules of several processes
 * overlap, later ones move to synthetic addresses (layout.h). In every mapping
 * address - start + file_offset is the frame's offset: a file offset, or, for
 * the kernel and for code without a file, the run-time address.
 *
 * Samples carry the label `bytes`; in CPU and off-CPU profiles also the numbers
 * `pid` and `tid` and the strings `comm`, `thread` and `unit`; threads also `state` and
 * `wchan`. To these come the labels of the program's own, in whatever profile. Heap profiles ask
 * readers to leave out the allocator's own frames, off-CPU profiles the
 * scheduler's (drop_frames). Entries whose values are all zero are left out.
 */
#pragma once

#include "daemon/proc/module.h"
#include "daemon/profile/aggregate.h"
#include "proto/pprof.h"

/*
 * What a CPU profile says depends on the event that was sampled, so that only
 * profiles of one event merge:
 *
 *   PROFILE_CPU     a clock: samples/count, cpu/nanoseconds; the period is the
 *                   time between two samples, as in Go's
 *   PROFILE_CYCLES  samples/count, cycles/count, cpu/nanoseconds (shown first);
 *                   the period is in cycles
 *   PROFILE_EVENT   any other: samples/count, NAME/count, where NAME is the
 *                   event's; so is the period. The second value is the number of
 *                   events that the samples stand for.
 *
 * Where the kernel adjusts the period to meet a frequency, the profile's period
 * is the mean of its samples', so that samples times period are the events.
 *
 * PROFILE_OFFCPU depends on none: waits/count, offcpu/nanoseconds. Nor do
 * PROFILE_THREADS: threads/count; PROFILE_BLOCK and PROFILE_MUTEX:
 * contentions/count, delay/nanoseconds; PROFILE_THREADCREATE: threadcreate/count;
 * PROFILE_HEAP: allocated objects and bytes, those in use.
 *
 * PROFILE_TRACE is what a trace's events refer to (trace.h), events/count: it travels to
 * the scribe beside these, and is never a file of its own.
 */
enum profile_type {
	PROFILE_CPU,
	PROFILE_HEAP,
	PROFILE_CYCLES,
	PROFILE_EVENT,
	PROFILE_OFFCPU,
	PROFILE_THREADS,
	PROFILE_BLOCK,
	PROFILE_MUTEX,
	PROFILE_THREADCREATE,
	PROFILE_TRACE,
};

/* Where a module lay in the one process that the profile is of. */
struct freeze_place {
	uint32_t module;
	struct module_place place;
};

struct freeze {
	enum profile_type type;
	const char *event; /* PROFILE_EVENT: its name */
	int64_t period;	   /* cpu, offcpu: nanoseconds; heap: bytes; events: 0: the mean */
	int64_t time_unix_ns, duration_ns;
	pid_t only_pid; /* cpu: 0 for all */
	const char *only_comm, *only_unit;
	const uint32_t *only_lives; /* sorted: those that may be seen; NULL: all */
	size_t n_only_lives;
	bool no_kernel; /* leave its frames out; a stack of no others becomes empty */
	const struct freeze_place *places; /* NULL: modules' own first places */
	size_t n_places;
	uint32_t main_module; /* its mapping comes first; 0: not known */
	const char *const *comments;
	size_t n_comments;
};

struct frozen {
	struct pprof *profile;
	uint32_t *modules; /* of mapping i+1 */
	size_t n_modules;
	/* PROFILE_TRACE: the sample that entry i of the aggregate has become; FROZEN_NONE:
	 * it was left out. NULL for the others. */
	uint32_t *samples;
	/* What goes to the scribe beside the profile, put here by the caller; NULL: nothing. */
	void *events;
	size_t n_event_bytes;
};
#define FROZEN_NONE UINT32_MAX

/* Returns 0; -EINVAL: the aggregate's number of values is not that of the type
 * (those listed above); or -ENOMEM. *ret_frozen is the caller's until frozen_done(). */
int freeze_aggregate(struct module_table *modules, const struct aggregate *a,
		     const struct freeze *how, struct frozen *ret_frozen);
void frozen_done(struct frozen *frozen);

const char *profile_type_name(enum profile_type type);	 /* "cpu" (all three), "heap" .. */
const char *profile_drop_frames(enum profile_type type); /* an expression; "": none */
