/*
 * How a process ended, asked by one who is not its parent: of the kernel
 * through the pidfd (Linux 6.15 on, once the process has been waited for), or
 * of /proc/PID/stat while it is a zombie. Neither may know.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

/* *ret_status is as waitpid() gives it. Returns 0, or -ENODATA: not known. */
int process_read_ending(struct keeper *keeper, pid_t pid, int pid_fd, int *ret_status);

/* "was killed by signal 9 (Killed)", "exited with status 3". */
void process_describe_ending(int status, char *ret, size_t size);
