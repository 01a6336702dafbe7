/*
 * Opening files that a target chose, without ever waiting for one: internal to
 * the keeper.
 */
#pragma once

#include <sys/types.h>

/* Opens @path below @dir_fd for nothing but looking at (O_PATH). Symbolic links
 * and ".." stay inside @dir_fd, as if it were the root. A descriptor or -errno. */
int open_below(int dir_fd, const char *path);

/* The same for @path, which is relative and passes no symbolic link (-ELOOP) and
 * no ".." that leaves @dir_fd (-EXDEV). */
int open_strictly_below(int dir_fd, const char *path);

/*
 * The same for a path of @pid's, from its root @root_fd on, and without ever asking
 * a process of user space on the way: each directory is looked at before anything is
 * looked up in it, and one that is served by user space (FUSE) is refused with
 * -EINVAL, as is a path with ".." in it.
 */
int open_carefully(pid_t pid, int root_fd, const char *path);

/* Opens what the O_PATH descriptor @path_fd holds, with @flags. Refuses with
 * -EINVAL what is no regular file, and what a process of user space serves
 * (FUSE): opening that could take for ever. @pid's list of mounts says which
 * those are. @path_fd stays the caller's. A descriptor or -errno. */
int open_regular(pid_t pid, int path_fd, int flags);

/* The same, read-only, for what can hold code or names of code: an object, a program
 * or a library of ELF. -ENOEXEC for anything else, core dumps too: whoever may name a
 * file to the keeper gets to see no other kind of file. */
int open_object(pid_t pid, int path_fd);
