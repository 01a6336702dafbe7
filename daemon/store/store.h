/*
 * The state directory: names of profiles, and how long they stay. Flat; deletes
 * only names of profd's own form, and never the newest of a target.
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

/* Opens @dir, making it (0750) if it is not there. Returns 0 or -errno. */
int store_new(const char *dir, const struct store_limits *limits, struct store **ret_store);
void store_free(struct store *s);
int store_dir_fd(const struct store *s);
const char *store_dir(const struct store *s); /* absolute */

/* heap_<comm>_<pid>_<stamp>.pb.gz with a @pid, cpu_<stamp>.pb.gz with pid 0. */
#define STORE_NAME_BYTES 128
void store_name(const char *type, const char *comm, pid_t pid, int64_t unix_ns, char *ret,
		size_t size);

/* Splits a name of that form: *ret_target_bytes is the length of what comes
 * before the stamp, and names the target. False: not a name of ours. */
bool store_parse_name(const char *name, size_t *ret_target_bytes);

/* Deletes what the limits no longer allow. Returns the number deleted, or -errno. */
int store_retain(struct store *s);
