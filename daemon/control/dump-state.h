/*
 * What a dump is, between dump.c and dump_waits.c, dump_trace.c.
 */
#pragma once

#include "daemon/control/dump.h"
#include "daemon/heap/read.h"
#include "daemon/heap/trim.h"

struct dump {
	struct control_context *ctx;
	struct dump_options options;
	char *note;
	dump_done_t done;
	void *userdata;

	enum profile_type type;
	struct heap_client *client; /* a reference; NULL: not of a heap */
	pid_t pid;		    /* whose threads, or samples; 0: everybody's */
	struct trim trim;
	bool trimmed; /* trim holds an answer, or why there is none */
	sd_event_source *timer;
	uint64_t poll_us;

	int64_t time_unix_ns;
	int fd; /* options.send: the unnamed file */
	char name[STORE_NAME_BYTES];
	char trim_line[256];
};

struct dump *dump_new(struct control_context *ctx, enum profile_type type,
		      const struct dump_options *options, dump_done_t done, void *userdata);
void dump_free(struct dump *d);

void dump_fail(struct dump *d, int error); /* before it was submitted; frees it */

/* Takes @frozen over. Returns 0 or -errno; then the dump is still the caller's. */
int dump_submit(struct dump *d, struct frozen *frozen);

/* Of a client's samples: what is frozen, and where its modules lay; the caller's. */
int dump_aggregate(const struct heap_profile *p, size_t n_values, struct aggregate **ret);
struct freeze_place *dump_places(const struct heap_profile *p);
