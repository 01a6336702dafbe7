/*
 * When the service manager's watchdog is fed: only if, since it was fed last, the
 * daemon has done what it is there for. That the loop turns is not enough:
 *
 * - the rings have been drained, if CPU time is sampled;
 * - the scribe has finished something, if it had something to do for longer than
 *   its jobs may take (a scribe that hangs is killed and replaced within that time,
 *   so nobody is doing this any more);
 *
 * What is not there to be done cannot be missed: an idle daemon is fed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watchdog {
	uint64_t every_ns;   /* it is fed so often, half of what the manager allows */
	uint64_t finished;   /* jobs, when it was looked at last */
	uint64_t waiting_ns; /* since then there are jobs and none has finished; 0: no such */
};

struct watchdog_facts {
	uint64_t now_ns;
	bool sampling;
	uint64_t drained_ns; /* when the rings were drained last */
	size_t jobs;	     /* that the scribe has to do */
	uint64_t finished;   /* jobs, ever */
};

/* NULL: feed it; else what is stuck, in words. */
const char *watchdog_judge(struct watchdog *w, const struct watchdog_facts *facts);
