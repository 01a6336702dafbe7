/*
 * From an event's name to a perf_event_attr that samples it, and to what the
 * values of its samples are.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/cpu/sampler.h"
#include "daemon/keeper/keeper.h"

#define EVENT_NAME_BYTES 64

struct event {
	char name[EVENT_NAME_BYTES]; /* as it was asked for */
	/* What its values are called: the usual name, whatever the spelling, with the
	 * levels it is confined to, and without how often it is sampled. */
	char type[EVENT_NAME_BYTES];
	enum sampler_measure measure;
	bool in_kernel;		     /* can only happen there (a context switch) */
	unsigned own_frequency_hz;   /* in the name ("cycles:freq=500"); 0: none */
	uint64_t own_period;	     /* in the name ("page-faults:period=1"); 0: none */
	struct perf_event_attr attr; /* type, config, levels */
};

/* Looks @name up: in libpfm4's language, in which blanks, '-' and '_' are the
 * same; else as a tracepoint, "SYSTEM:NAME", with libpfm4's modifiers behind it.
 * Returns 0; -ENOENT: no such event; -ENXIO, -EACCES: it would be a tracepoint,
 * but there is no tracefs, or it is closed to us; -EINVAL: a clock with a fixed
 * period, which is its frequency by another name; -ENAMETOOLONG. */
int event_find(struct keeper *keeper, const char *name, struct event *ret_event);

/* Completes the attr: what a sample holds, and how often. @tree: start at the next
 * exec, and follow children. */
void event_set_sampling(struct event *event, unsigned frequency_hz, uint32_t stack_bytes,
			size_t ring_bytes, bool tree);

/* The event beside it that fires never, and brings the records about tasks and
 * mappings into the same ring. */
void event_make_side(const struct event *event, struct perf_event_attr *ret_attr);

/* The usual events that can be sampled here, as "cpu-clock, task-clock, .., and
 * tracepoints such as sched:sched_switch". */
void event_list_available(struct keeper *keeper, char *ret, size_t size);
