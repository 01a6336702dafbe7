/*
 * What a dump is, between dump.c and the files of what is dumped.
 */
#pragma once

#include "daemon/control/comments.h"
#include "daemon/control/dump.h"
#include "daemon/control/sight.h"
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

/* Both count how it came out, and free it. The first tells whoever asked; the second is
 * for what failed before dump_heap() and its like have returned. */
void dump_end(struct dump *d, int error, const char *why, const char *name);
void dump_fail(struct dump *d, int error);

/* Takes @frozen over. Returns 0 or -errno; then the dump is still the caller's. */
int dump_submit(struct dump *d, struct frozen *frozen);

/* freeze_aggregate(), with @comments, which are done with in either case. */
int dump_freeze(struct dump *d, const struct aggregate *samples, struct comments *comments,
		struct freeze *how, struct frozen *ret);

/* Says to @how which of @samples @filter lets through. @ret_sight, which starts out as
 * zeroes, has to stay until they are frozen. Returns 0 or -errno. */
int dump_restrict(struct dump *d, const struct dump_filter *filter, const struct aggregate *samples,
		  struct freeze *how, struct sight *ret_sight);
