/*
 * Handing the table to profd, and answering it.
 */
#pragma once

#include <stdbool.h>

/* Sends the Attach message with @table_fd to the socket at @path. Nothing is
 * awaited and nothing reported: without a daemon the table stays where it is,
 * and a daemon that starts later finds it in /proc/PID/map_files. */
void service_attach(const char *path, int table_fd);

/* Starts the thread that answers requests. Without it all else works. */
void service_start(void);

/* In fork handlers: before, whether the child may start a thread; in the child. */
void service_before_fork(void);
void service_after_fork(void);
