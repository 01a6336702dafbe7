/*
 * Which files the settings are in, in the manner of systemd's own: the main file,
 * then the drop-ins, in the order of their names, whichever directory they are in.
 *
 *	/etc/profd.conf
 *	/usr/lib/profd.conf.d/NAME.conf	   packages
 *	/run/profd.conf.d/NAME.conf	   until the machine restarts
 *	/etc/profd.conf.d/NAME.conf	   the administrator
 *
 * Of files of one name only the one in the directory that stands last here is
 * read; so an empty one there, or a link to /dev/null, masks the others. With
 * --config FILE it is FILE, and NAME.conf in FILE.d.
 */
#pragma once

#include "daemon/config.h"

#define CONFIG_FILE "/etc/profd.conf"

/* Reads all of them into @c; @root is put before the standard ones ("" but in
 * tests). What is wrong in them, or cannot be read, is complained about.
 * -errno: @c->file, which was asked for by name, cannot be read, or -ENOMEM. */
int config_load(struct config *c, const char *root, config_complaint_t complain, void *userdata);

/* The settings as they are now: files, then what @old was told on the command
 * line. Nothing of @old changes. Returns 0; -EBADMSG: a line is wrong, and @why has
 * the first; or as config_load(). */
int config_reload(const struct config *old, const char *root, struct config *ret_config, char *why,
		  size_t why_size);
