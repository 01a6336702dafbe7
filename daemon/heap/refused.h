/*
 * Processes whose client speaks another version of the table: they are not
 * profiled, and people are told which versions meet. At most PROFD_MAX_REFUSED are
 * remembered, the latest ones, each for as long as its process runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/process.h"
#include "profd/limits.h"

struct heap_refusal {
	pid_t pid; /* 0: free */
	uid_t uid;
	uint64_t start_ticks; /* with pid, the process's identity */
	uint32_t version;     /* that its client speaks */
	char comm[PROCESS_COMM_BYTES];
};

struct heap_refusals {
	struct heap_refusal list[PROFD_MAX_REFUSED];
	unsigned next; /* where the next one goes */
};

/* Returns whether this is news. */
bool heap_refusals_add(struct heap_refusals *refusals, struct keeper *keeper, pid_t pid, uid_t uid,
		       uint32_t version);

/* The process has attached after all, or called exec. */
void heap_refusals_forget(struct heap_refusals *refusals, pid_t pid);

/* That of @pid; NULL: there is none, or its process is no more. */
const struct heap_refusal *heap_refusals_find(struct heap_refusals *refusals, struct keeper *keeper,
					      pid_t pid);

/* The versions that meet, and what to do about it. */
void heap_refusal_describe(const struct heap_refusal *refusal, char *ret, size_t size);
