/*
 * The keeper from inside: shared by keeper.c (processes), mapped.c (what they have
 * mapped), debug.c (debug files) and remote.c (a keeper elsewhere), and by nobody else.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "profd/limits.h"

struct keeper_answer;

struct keeper {
	int socket; /* of the keeper that is asked; -1: it is this one, and has what follows */
	struct keeper_answer *answer;
	uint64_t spent_ns; /* by that keeper, for us */

	int proc_fd;
	struct peek *peek;			/* NULL: not needed yet */
	char *debug_dirs[PROFD_MAX_DEBUG_DIRS]; /* added ones, the last first */
	unsigned n_debug_dirs;
};

static inline bool keeper_is_remote(const struct keeper *keeper)
{
	return keeper->socket >= 0;
}

/* @pid's root directory (O_PATH). A descriptor or -errno. */
int keeper_take_root(struct keeper *keeper, pid_t pid);
