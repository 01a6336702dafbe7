/*
 * Where the profiles of `profctl run` go: into a directory, where profd itself
 * writes them, or to the files that the user named.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/profctl/connect.h"
#include "client/profctl/gather.h"

struct deliver {
	const char *output; /* NULL: files are named */
	/* names to be expanded; NULL: not wanted */
	const char *cpu, *heap, *offcpu, *block, *mutex;
	pid_t pid; /* of the command */
	char host[256];
	bool no_cpu;	  /* CPU samples were refused; it has been said */
	unsigned written; /* files */
	unsigned others;  /* heaps of other processes that had no name to go to */
	bool got_cpu, got_heap, got_offcpu, got_block, got_mutex;
	bool children; /* the heap is the sum of all processes' */
	struct gather heaps;
	bool failed;
};

void deliver_init(struct deliver *deliver, const char *output, const char *cpu, const char *heap);

bool deliver_wants_cpu(const struct deliver *deliver);
bool deliver_wants_heap(const struct deliver *deliver);
bool deliver_wants_client(const struct deliver *deliver); /* heap, block or mutex */

/* Whether the named files can be written, as far as can be told beforehand.
 * Returns 0 or -errno, reported. */
int deliver_check(const struct deliver *deliver);

/* Takes a File or Missing reply, and reports what goes wrong. @quiet: only
 * that. */
void deliver_take(struct deliver *deliver, const struct reply *reply, bool quiet);

/* Writes what was gathered, and says what was expected and did not come. */
void deliver_finish(struct deliver *deliver);
void deliver_done(struct deliver *deliver);
