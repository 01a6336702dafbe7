/*
 * Handing the table to profd, and answering it.
 */
#pragma once

#include <stdbool.h>

#define SERVICE_PATH_BYTES 108 /* of a socket's address */

/* Of the thread's stack, with all thread-local storage: the table reserves it, or
 * where address space is short the lesser. */
#define SERVICE_STACK_BYTES	  (1024 * 1024)
#define SERVICE_STACK_SMALL_BYTES (256 * 1024)

/* Sends the Attach message with @table_fd to the socket at @path. Nothing is
 * awaited and nothing reported: without a daemon the table stays where it is,
 * and a daemon that starts later finds it in /proc/PID/map_files. */
void service_attach(const char *path, int table_fd);

/* Starts the thread that answers requests. Without it all else works. */
void service_start(void);

/* There will be none, here and in children: nothing is trimmed, and a program of one
 * thread stays one. */
void service_do_without(void);

/* In fork handlers: before, whether the child may start a thread; in the child. */
void service_before_fork(void);
void service_after_fork(void);

/*
 * The thread ends, so that the program is a thread less; false, and nothing
 * happens, if there is none, in a vfork child, or if somebody else is at it.
 * Waits a second at most, when a trim is under way.
 *
 * service_pause() is for what needs a process of one thread, and only ends the
 * thread where the program has no other; if it returns true, service_start()
 * brings it back. service_leave() is for good; @for_children_too: no process
 * forked from here has one either.
 */
bool service_pause(void);
void service_leave(bool for_children_too);

/* True: it has left for the children too, and a filter may kill for any system call
 * that the program does not make itself. */
bool service_is_confined(void);
