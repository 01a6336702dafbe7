/*
 * The state directory: names of profiles, and how long they stay. Flat. Only
 * regular files of profd's own whose names have exactly the form that
 * store_name() gives are ever deleted; everything else is not looked at.
 *
 * What makes room when the limits are met:
 *
 * - A file older than max_age goes.
 * - When there are too many files, too many bytes, or too little free disk, the
 *   program with the most files (or bytes) loses its oldest one, until there is
 *   room. A program is what profiles of one type and one comm are of, whatever
 *   their pids; the machine's CPU profiles are one more. So whoever writes much
 *   makes room for it out of its own: one that has less than an equal share
 *   loses nothing to the others.
 * - The newest file of a target (type, comm and pid) stays, whatever the limits
 *   say. Of targets that have ended this holds for the latest
 *   PROFD_MAX_KEPT_TARGETS, so that a storm of processes cannot fill the disk.
 *
 * Order and age do not come from the wall clock, which jumps: store.c says how.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct store;

struct store_limits { /* 0: no limit */
	uint64_t max_age_ns;
	uint64_t max_files;
	uint64_t max_bytes;
	uint64_t min_free_bytes; /* of the file system */
};

/* Opens @dir, making it (0750) if it is not there, and lists it. Returns 0 or
 * -errno. */
int store_new(const char *dir, const struct store_limits *limits, struct store **ret_store);
void store_free(struct store *s);
int store_dir_fd(const struct store *s);
const char *store_dir(const struct store *s); /* absolute */
void store_set_limits(struct store *s, const struct store_limits *limits);

/* heap_<comm>_<pid>_<stamp>.pb.gz with a @pid, cpu_<stamp>.pb.gz with pid 0; a
 * trace's ends in .json.gz. */
#define STORE_NAME_BYTES 128
void store_name(const char *type, const char *comm, pid_t pid, int64_t unix_ns, char *ret,
		size_t size);

/* What a name of ours is made of, as lengths from its start: the stamp comes behind
 * the target and a '_'. */
struct store_parts {
	size_t program_bytes; /* "heap_<comm>", "cpu" */
	size_t target_bytes;  /* "heap_<comm>_<pid>", "cpu" */
	pid_t pid;	      /* 0: the machine's */
};

/* False: not a name of ours. */
bool store_parse_name(const char *name, struct store_parts *ret_parts);

/* A file has just been published: retention need not find that out by itself. */
void store_note(struct store *s, const char *name);

/* Deletes what the limits no longer allow. Returns the number deleted, or -errno. */
int store_retain(struct store *s);

struct store_stats {
	uint64_t files, bytes; /* there, of ours, when they were last looked at */
	uint64_t deleted;      /* by retention */
};
void store_get_stats(const struct store *s, struct store_stats *ret_stats);

/* ---- for tests: what the clocks say is the caller's word */

struct store_time {
	uint64_t boot_ns; /* CLOCK_BOOTTIME: never set, and goes on while the machine sleeps */
	int64_t unix_ns;
};
int store_new_at(const char *dir, const struct store_limits *limits, const struct store_time *now,
		 struct store **ret_store);
void store_note_at(struct store *s, const char *name, const struct store_time *now);
int store_retain_at(struct store *s, const struct store_time *now);
