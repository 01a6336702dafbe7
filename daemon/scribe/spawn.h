/*
 * Starting and ending the scribe process.
 */
#pragma once

#include <sys/types.h>

struct spawned {
	pid_t pid;  /* -1: none */
	int pid_fd; /* readable when it has ended */
	int socket; /* the engine's end */
};

#define SPAWNED_NONE                                                                               \
	{                                                                                          \
		.pid = -1, .pid_fd = -1, .socket = -1                                              \
	}

/* Executes "@program --scribe" with a socket as descriptor 3. 0 or -errno. */
int spawn_scribe(const char *program, struct spawned *ret_spawned);

/* Kills it, waits for it, closes what belongs to it. Fine on SPAWNED_NONE.
 * Returns its wait status: its own end if it came first. */
int spawned_end(struct spawned *spawned);
