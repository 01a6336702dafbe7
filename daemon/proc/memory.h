/*
 * What the resident memory of a process consists of, as far as it can be told
 * from outside: from its mappings, and from where its threads' stack pointers
 * are. For the reckoning between a heap profile and RSS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

struct process_memory { /* bytes */
	uint64_t rss;
	uint64_t anonymous; /* heap, stacks, private mappings without a file, pages written to */
	uint64_t swap;	    /* not in rss */

	/* The process has more mappings or threads than are looked at one by one when
	 * this is false; then the rest is 0. */
	bool by_mapping;
	uint64_t stacks;      /* of anonymous: mappings that hold a thread's stack pointer */
	uint64_t glibc_areas; /* of anonymous: where glibc's malloc keeps what has no
			       * mapping of its own (the break, and its arenas) */
	uint64_t table;	      /* of the rest: the heap client's table */
	unsigned threads;
	unsigned threads_found; /* whose stack is in `stacks` */
};

/* Returns 0 or -errno. */
int process_read_memory(struct keeper *keeper, pid_t pid, struct process_memory *ret_memory);

/* ---- the parts, to be shown any text */

/* Of /proc/PID/task/TID/syscall. Returns 0; -EAGAIN: it was running; -EBADMSG. */
int memory_parse_stack_pointer(const char *text, uint64_t *ret_pointer);

/* /proc/PID/smaps from @fd, which stays the caller's. @pointers: of the threads'
 * stacks, in rising order. *ret's threads are @n; without them the main thread's
 * stack is known by its name. Returns 0, -EFBIG beyond PROFD_MAX_SMAPS_BYTES, or
 * -errno. */
int memory_read_smaps(int fd, const uint64_t *pointers, size_t n,
		      struct process_memory *ret_memory);
