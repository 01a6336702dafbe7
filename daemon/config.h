/*
 * The daemon's settings: defaults, then the configuration file, then the
 * command line. `key = value` lines in a [profd] section; the keys are the
 * options' names without dashes in front.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/store/store.h"
#include "profd/limits.h"

struct config {
	char *state_dir, *runtime_dir;
	char *event; /* NULL: cycles, else cpu-clock */
	unsigned frequency_hz;
	uint64_t ring_bytes; /* of each CPU; 0: the sampler's default */
	uint64_t rotate_ns;  /* 0: only on request */
	bool rotate_trim;    /* trim before the rotation's heap dumps too */
	struct store_limits limits;
	char *debug_dirs[PROFD_MAX_DEBUG_DIRS]; /* in the order in which they were given */
	unsigned n_debug_dirs;

	/* command line only */
	bool private; /* one command's own daemon */
	int ready_fd; /* -1; else written to when the socket listens */
};

void config_init(struct config *c);
void config_done(struct config *c);

/* Sets one setting by name. Returns 0; -ENOENT: no such setting; -EINVAL: no
 * such value (*ret_form says what one looks like); -ENOMEM. */
int config_set(struct config *c, const char *name, const char *value, const char **ret_form);

/* Reads @path. Returns 0; -errno: it cannot be read; -EBADMSG: a line of it is
 * wrong, and @why says which and how. A file that is not there is no error if
 * @optional. */
int config_read(struct config *c, const char *path, bool optional, char *why, size_t why_size);
