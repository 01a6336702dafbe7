/*
 * Who a process is, out of the small files of /proc/PID. The parsers stand
 * apart from the reading, so that they can be shown any text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/memory.h"
#include "daemon/proc/process.h"

#define IDENTITY_MAX_BYTES 8192 /* of any of the files; the rest is not looked at */

struct identity_stat {
	char comm[PROCESS_COMM_BYTES];
	char state;
	uint64_t threads;
	uint64_t start_ticks;
	int exit_code; /* of a zombie, as waitpid() gives it; 0 also to those who may not know */
};

/* All return 0, or -EBADMSG when the text is not of that form. */
int identity_parse_stat(const char *text, struct identity_stat *ret_stat);
int identity_parse_statm(const char *text, uint64_t *ret_rss_pages);
int identity_parse_rollup(const char *text, struct process_memory *ret_memory);
int identity_parse_uid(const char *status, uid_t *ret_uid);
int identity_parse_filtered(const char *status, bool *ret_filtered);
int identity_parse_inner_pid(const char *status, pid_t *ret_pid);

/* The unit that /proc/PID/cgroup's text speaks of, in at most @size bytes.
 * Returns 0, or -ENOENT: none. */
int identity_parse_unit(const char *cgroup, char *ret_unit, size_t size);

/* The start of a file, with a terminator. Returns 0 or -errno. */
int identity_read_text(struct keeper *keeper, pid_t pid, enum keeper_file file,
		       char ret[IDENTITY_MAX_BYTES]);
int identity_read_stat(struct keeper *keeper, pid_t pid, struct identity_stat *ret_stat);
int identity_read_rollup(struct keeper *keeper, pid_t pid, struct process_memory *ret_memory);
