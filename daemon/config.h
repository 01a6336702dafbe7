/*
 * The daemon's settings: defaults, then the configuration files, then the
 * command line. `key = value` lines in a [profd] section; the keys are the
 * options' names without dashes in front. profd.conf.5 says what each means.
 *
 * A line that is not understood sets nothing and is complained about; whoever
 * reads decides what that means: at start it is said and ignored, so that a slip
 * of the pen does not leave a machine without profiles; a reload is refused, as
 * the settings in use are better than half of those meant.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/store/store.h"
#include "profd/limits.h"

struct config_override;

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
	char *file;			   /* --config; NULL: the standard ones */
	struct config_override *overrides; /* settings, which outlast a reload */
	bool private;			   /* one command's own daemon */
	int ready_fd;			   /* -1; else written to when the socket listens */
};

/* "FILE:LINE: what: why", one at a time. */
typedef void (*config_complaint_t)(const char *text, void *userdata);

void config_init(struct config *c);
void config_done(struct config *c);

/* Names of all settings, for @i from 0; NULL: there are no more. */
const char *config_setting_name(size_t i);

/* Sets one setting by name; an empty @value: its default again. Returns 0;
 * -ENOENT: no such setting; -EINVAL: no such value (*ret_form says what one looks
 * like); -ENOMEM. */
int config_set(struct config *c, const char *name, const char *value, const char **ret_form);

/* As config_set(), for the command line: no file changes it any more. */
int config_override(struct config *c, const char *name, const char *value, const char **ret_form);

/* Puts what was overridden in @from into @c as well. Returns 0 or -ENOMEM. */
int config_copy_overrides(struct config *c, const struct config *from);

/* Reads one file. Returns 0 or -errno: it cannot be read. */
int config_read(struct config *c, const char *path, config_complaint_t complain, void *userdata);

/* Whether a setting has another value in @b, for @i as in config_setting_name(). */
bool config_differs(const struct config *a, const struct config *b, size_t i);
