/*
 * openat2(2) by hand, for where there is none: on kernels before 5.6, and in a
 * service that may not make files setuid (RestrictSUIDSGID=), since such a filter
 * cannot see what openat2 is asked for.
 *
 * Opens @path below @dir_fd, with O_PATH. Nothing above @dir_fd is ever reached:
 * with @links, as if it were the root of the file system (RESOLVE_IN_ROOT); without,
 * a symbolic link is -ELOOP, and a path that would leave it -EXDEV (RESOLVE_BENEATH,
 * RESOLVE_NO_SYMLINKS). Returns a descriptor or -errno.
 */
#pragma once

#include <stdbool.h>

int walk_below(int dir_fd, const char *path, bool links);
