/*
 * A profile on its way through the scribe, as the engine keeps it: all that is
 * needed to ask again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/scribe/scribe.h"

struct job {
	struct job *prev, *next; /* utlist */
	uint32_t id;
	uint64_t start_ns; /* CLOCK_MONOTONIC: when it was submitted */
	int raw_fd;	   /* memfd: the profile without names */
	int events_fd;	   /* memfd: of a trace, its events; -1: it is a profile */
	int out_fd;	   /* a directory, or the file when there is no name */
	char *name;	   /* NULL: none */
	uint32_t *modules; /* of mapping i+1 */
	size_t n_modules;
	unsigned deaths;   /* scribes that ended over it */
	unsigned unblamed; /* of those: while no module was being parsed */
	bool bare;	   /* ask without any module */
	int unnamed_fd;	   /* the engine names the file itself; -1: the scribe does */
	scribe_done_t done;
	void *userdata;
};

/* Takes the contents of @frozen over, also on failure. Returns 0 or -errno. */
int job_new(struct frozen *frozen, int out_fd, const char *name, struct job **ret_job);
void job_free(struct job *job);

/* After a scribe ended over it, parsing @module (0: none). True: ask again. */
bool job_count_death(struct job *job, uint32_t module);

/* The scribe may not write to the directory, but this process may: has it write
 * to an unnamed file of this process's. False: no help. */
bool job_take_naming(struct job *job);
/* Gives that file its name, which job->name then is. Returns 0 or -errno. */
int job_give_name(struct job *job);
