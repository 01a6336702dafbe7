/*
 * Writing a profile that came as a descriptor to a place of the user's choice:
 * whole or not at all.
 */
#pragma once

#include <stdint.h>

/* Opens @dir to save into. Returns the descriptor or -errno, also where it
 * could be read but not written to. */
int save_open_dir(const char *dir);

/* Copies @source into @dir_fd as @name, which must be a plain file name; if it
 * is taken, the stamp in it moves on by milliseconds (publish_link_next()).
 * Returns 0 and the malloc'd name, or -errno. */
int save_into(int dir_fd, const char *name, int source, char **ret_name);

/* Copies @source to @path. A file there is replaced at once; a device or a pipe
 * is written to. Returns 0 or -errno. */
int save_as(const char *path, int source);

/* Whether save_as() could write @path, as far as can be told without doing it.
 * Returns 0 or -errno. */
int save_check(const char *path);
