/*
 * The answers to a Snapshot request, shown as they come: one file, or a series
 * that lasts for hours.
 */
#pragma once

#include <stdint.h>

#include "client/profctl/profctl.h"

struct series {
	const struct profctl *ctl;
	const char *dir; /* where files are to be saved; NULL: profd keeps them */
	int dir_fd;	 /* of @dir */
	uint32_t count;	 /* 0: until interrupted */
	uint64_t every_ns, seconds_ns;
	bool verbose;
};

/* Follows the request just sent on @fd to its end. Returns an exit code. */
int series_follow(const struct series *series, int fd);
