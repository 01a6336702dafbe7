/*
 * Which processes there are.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

/* Calls @each with the id of every process, in no order; it may be gone by then.
 * Returns 0, or -errno: /proc cannot be read. */
int process_each_pid(struct keeper *keeper, void (*each)(pid_t pid, void *userdata),
		     void *userdata);

/* Likewise for the threads of @pid. @each returns whether to go on. */
int process_each_thread(struct keeper *keeper, pid_t pid, bool (*each)(pid_t tid, void *userdata),
			void *userdata);
