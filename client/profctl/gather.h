/*
 * The heaps of a command and of all that it started, summed in one profile, each
 * told by the labels pid and comm.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "proto/array.h"

struct gathered {
	int fd;
	pid_t pid;
	char comm[64];
};

struct gather { /* all zero: empty */
	ARRAY_TABLE(struct gathered) files;
};

/* Keeps a copy of the descriptor. Returns 0 or -errno. */
int gather_add(struct gather *g, int fd, pid_t pid, const char *comm);
/* Writes the sum as save_as() does, and lets go of the files. Returns 0 or -errno. */
int gather_write(struct gather *g, const char *path);
void gather_done(struct gather *g);
