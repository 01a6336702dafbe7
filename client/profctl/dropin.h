/*
 * The file that puts the client under a service:
 *
 *     /etc/systemd/system/UNIT.d/50-profd.conf
 *
 * It begins with a line that says whose it is; a file of that name without the line
 * is somebody else's and is not touched. It says, too, whether its directory was made
 * for it, so that taking it away leaves what was there before and nothing more.
 *
 * Directories and files are opened relative to one another and never through a
 * symbolic link; a file appears whole or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DROPIN_NAME "50-profd.conf"
#define DROPIN_DIR  "/etc/systemd/system"

enum dropin_kind {
	DROPIN_NONE,
	DROPIN_OURS,
	DROPIN_FOREIGN, /* a file of that name that profctl has not made */
};

/* Returns an enum dropin_kind, or -errno. */
int dropin_look(const char *unit);

/* Writes one that sets LD_PRELOAD=@preload. -EEXIST: there is one; -EINVAL: @preload has
 * a byte that such a file cannot say; -ELOOP, -ENOTDIR: UNIT.d is something else than a
 * directory. Returns 0 or -errno; nothing is left of a failure. */
int dropin_write(const char *unit, const char *preload);

/* Takes it away. -ENOENT: there is none; -EPERM: it is not ours. */
int dropin_remove(const char *unit);

/* The names of all units that have one of ours, sorted. Returns 0 or -errno. */
struct dropin_list {
	char **units;
	size_t n;
};
int dropin_scan(struct dropin_list *ret_list);
void dropin_list_done(struct dropin_list *list);
