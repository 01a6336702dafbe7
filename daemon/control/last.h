/*
 * Last heaps: when an attached process has ended, its table is still here. A
 * process that was killed or crashed gets its last heap written; so does, under
 * a private daemon, one that left in good order, and its waits if they are wanted.
 */
#pragma once

#include "daemon/control/context.h"

struct last_file { /* under a private daemon: what `finish` will name */
	struct last_file *next;
	pid_t pid;
	const char *type; /* "heap", or of Watch.types */
	char comm[PROCESS_COMM_BYTES];
	char name[STORE_NAME_BYTES]; /* "": it could not be written, and why: */
	int error;
};

/* @client's process has ended: writes what is to be written, then removes it. */
void last_heap(struct control_context *ctx, struct heap_client *client);

void last_files_free(struct control_context *ctx);
