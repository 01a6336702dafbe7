/*
 * What `profctl run` asks of its private profd: to watch the command, before it runs, and
 * for its profiles, when it has ended. The end of this connection ends profd.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "client/profctl/deliver.h"
#include "client/profctl/run_options.h"

struct watch {
	const struct run_options *options;
	struct deliver *deliver;
	int signals_fd;
	int fd;		    /* -1: none */
	uint32_t timers_hz; /* CPU samples by the programs' own timers; 0: by perf events */
};

/* Watches @pid and what it starts. Returns 0, or -errno, reported; -EINTR: a signal came,
 * *ret_signal. Without CPU samples, where nobody asked for them by name, there is still the
 * heap: that is said, and no failure. */
int watch_begin(struct watch *w, const char *socket, pid_t pid, int *ret_signal);

/* Fetches the profiles. Whatever goes wrong is reported; the exit code is the command's all
 * the same. */
void watch_finish(struct watch *w);
