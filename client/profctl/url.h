/*
 * Profiles from any pprof endpoint, Go's own or profd-http's: the shell loop that
 * everyone writes, with errors handled. Each is fetched whole, checked to be a
 * profile, and then appears under its name.
 */
#pragma once

#include <stdint.h>

#include "client/profctl/profctl.h"

struct url_series {
	const struct profctl *ctl;
	const char *url; /* "http://[NAME:PASSWORD@]HOST[:PORT]/PATH" or https */
	const char *dir;
	int dir_fd;
	uint32_t count; /* 0: until a signal comes */
	uint64_t every_ns;
};

/* Returns an exit code: PROFCTL_FAILED if any could not be had. */
int url_follow(const struct url_series *series);
