/*
 * The keeper as a process: starts the engine, by way of the starter, gives up what it
 * does not need, and then answers until the engine has ended.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/starter.h"

struct guard;

struct guard_config {
	struct starter_config engine;
	char *const *debug_dirs; /* in the order in which they are looked into */
	size_t n_debug_dirs;
	/* One line about an engine that was killed. */
	void (*say)(const char *line);
	/* The settings are to be read anew: sets @keeper's directories. */
	void (*reload)(struct keeper *keeper, void *userdata);
	void *userdata;
};

/* Forks, so there may be no other thread. -errno: one line in @why. */
int guard_new(const struct guard_config *config, struct guard **ret_guard, char *why,
	      size_t why_size);
void guard_free(struct guard *g);

/* What is lost on this machine, a line each; "": nothing. */
const char *guard_notes(const struct guard *g);

/* Returns the engine's exit status. */
int guard_run(struct guard *g);
