/*
 * From an event's name to a perf_event_attr that samples it.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keeper/keeper.h"

#define EVENT_NAME_BYTES 64

struct event {
	char name[EVENT_NAME_BYTES];
	bool clock;		     /* cpu-clock or task-clock: counts nanoseconds */
	unsigned own_frequency_hz;   /* in the name ("cycles:freq=500"); 0: none */
	struct perf_event_attr attr; /* type, config, levels */
};

/* Looks @name up in libpfm4's language; blanks, '-' and '_' are the same.
 * Returns 0; -ENOENT: no such event; -EINVAL: with a fixed period, which says
 * nothing about time; -ENAMETOOLONG. */
int event_find(const char *name, struct event *ret_event);

/* Completes the attr: what a sample holds, how often, and that the records
 * about tasks and mappings come along. @tree: start at the next exec, and
 * follow children. */
void event_set_sampling(struct event *event, unsigned frequency_hz, uint32_t stack_bytes,
			size_t ring_bytes, bool tree);

/* The usual events that can be sampled here, as "cpu-clock, task-clock, ...". */
void event_list_available(struct keeper *keeper, char *ret, size_t size);
