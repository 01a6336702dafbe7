/*
 * What enable, disable and enabled share: a unit's name as its files have it.
 */
#pragma once

#include <stdbool.h>

#include "client/profctl/systemctl.h"

/* A unit that was asked for, as systemd knows it. */
struct named_unit {
	char *name;  /* where drop-ins belong: an alias is resolved; perhaps a template */
	char *probe; /* whose properties to ask for: of a template, some instance */
	struct unit unit;
};

/* @argument: "nginx", "nginx.service", "getty@.service", "getty@tty1". What is wrong
 * is reported. Returns 0, -EINVAL: no such name, or -errno. */
int named_unit_load(const char *argument, struct named_unit *ret_unit);
void named_unit_done(struct named_unit *unit);

/* After an administrator's change. Returns 0 or -errno, reported; does nothing where
 * there is no systemd. */
int enable_reload(void);
/* Restarts what runs of @name. Returns 0 or -errno, reported. */
int enable_restart(const char *name);

/* Changing units needs root. Returns 0 or -EPERM, reported. */
int enable_check_root(const char *verb);
