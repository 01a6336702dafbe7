/*
 * How a process ended, asked by one who is not its parent: of the kernel
 * through the pidfd (Linux 6.15 on, once the process has been waited for), or
 * of /proc/PID/stat while it is a zombie. Neither may know.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

/* *ret_status is as waitpid() gives it. Returns 0, or -ENODATA: not known. */
int process_read_ending(struct keeper *keeper, pid_t pid, int pid_fd, int *ret_status);

/* "killed by SIGSEGV, core dumped", "exited with status 3". */
void process_describe_ending(int status, char *ret, size_t size);

/*
 * The kernel kills for lack of memory with a plain SIGKILL; what it tells beside is
 * a count in the victim's control group. So the count is looked at while the process
 * lives, and again when it has been killed.
 */

/* The file that counts for @pid, malloc'd. Returns 0 or -errno: -ENOENT: its
 * group has no such file (the root of all groups has none). */
int process_find_oom_count(struct keeper *keeper, pid_t pid, char **ret_path);

/* Returns 0 or -errno: the group may be gone. */
int process_read_oom_count(const char *path, uint64_t *ret_kills);

/* ---- the parts, to be shown any text */

/* The path in /sys/fs/cgroup that /proc/PID/cgroup's @text speaks of, malloc'd. NULL:
 * none, or one that leads out of there. */
char *ending_parse_oom_path(const char *cgroup);
int ending_parse_oom_count(const char *text, uint64_t *ret_kills);
