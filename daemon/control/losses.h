/*
 * What CPU and off-CPU profiles lose, by reason. Each reason is a counter in
 * `status` since the daemon's start, and, for the span of a profile, a line of
 * its comments; the number in between is a window's (profile/window.h).
 */
#pragma once

#include "daemon/control/context.h"

enum loss {
	LOSS_RING,	   /* samples that the kernel had no room for */
	LOSS_RECORDS,	   /* mappings and the like that it had no room for */
	LOSS_THROTTLED,	   /* times that the kernel slowed sampling down */
	LOSS_MALFORMED,	   /* records that did not parse */
	LOSS_ORPHANS,	   /* samples of tasks that had ended */
	LOSS_TAKEN_UP,	   /* CPUs that came back: not sampled until they were seen */
	LOSS_PROCESSES,	   /* the table of processes, or of a process's mappings, is full */
	LOSS_MODULES,	   /* the table of files is full */
	LOSS_PERF_MAPS,	   /* names of generated code that were not trusted */
	LOSS_ASLEEP_MS,	   /* the machine was suspended for so long: not a loss, but a gap */
	LOSS_RATE_CHANGES, /* no loss either */
	LOSS_LABELS,	   /* samples whose labels were not to be had any more */
	/* of off-CPU time */
	LOSS_SWITCHES,	   /* that the kernel had no room for */
	LOSS_WAIT_ENDS,	   /* waits whose end is not known */
	LOSS_WAIT_THREADS, /* waits of threads beyond the limit */
	LOSS_WAITS,	   /* waits that a full window refused */
	LOSS_STACKS,	   /* and on: stacks that ended early, by enum unwind_end */
	LOSS_N = LOSS_STACKS + UNWIND_END_N,
};

struct loss_info {
	const char *counter, *help; /* in `status`; NULL: not there, or by another name */
	const char *comment;	    /* what stands behind the number */
};
const struct loss_info *loss_info(enum loss loss);

/* Now: the clocks, and what samples have lost so far. For windows. */
void losses_moment(const struct control_context *ctx, struct window_moment *ret_moment);
/* Likewise, what off-CPU time has lost. What only the other of the two can lose
 * is 0; stacks are counted to the one they were walked for. */
void losses_offcpu_moment(const struct control_context *ctx, struct window_moment *ret_moment);
