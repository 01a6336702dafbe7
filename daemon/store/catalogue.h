/*
 * What is in the state directory: shared by store.c (which keeps it), and
 * retain.c (which decides what goes), and by nobody else.
 */
#pragma once

#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "daemon/store/store.h"

struct store_file {
	UT_hash_handle hh;
	struct store_parts parts;
	uint64_t bytes;
	int64_t born_ns; /* in CLOCK_BOOTTIME; before the machine's start it is below 0 */
	uint64_t order;	 /* of publication; no two have the same; 0: not known yet */
	unsigned round;	 /* of the listing that saw it last */
	bool kept;	 /* retain.c: the newest of its target */
	char name[];
};

struct store {
	char *dir;
	int dir_fd;
	struct store_limits limits;
	struct store_file *files; /* by name */
	uint64_t bytes;		  /* of all of them */
	uint64_t last_order;
	size_t n_new; /* that have no order yet */
	uint64_t deleted;
	unsigned round;
	struct timespec changed; /* the directory, as of the last look */
	bool settling;
	bool marked, exhausted; /* retain.c: `kept` holds, and nobody has any to give; no file
				 * has come since */
	int64_t line_ns;	/* what file times say: at CLOCK_BOOTTIME 0, */
	int64_t last_ns;	/* and of the last file */
};

/* Deletes @file, and forgets it. False: it could not be deleted. */
bool store_delete(struct store *s, struct store_file *file);

/* retain.c: deletes what the limits do not allow at @boot_ns. Returns the number, or
 * -ENOMEM. */
int retain_apply(struct store *s, uint64_t boot_ns);
