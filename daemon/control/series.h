/*
 * A series: one snapshot request, from its first file to its last. Which
 * targets, which profiles, how often, how far apart. The rotation is a series
 * without end.
 *
 * Each step dumps every target of the request; the next step waits for its time
 * and for the last step's files. A target that was part of the series and has
 * ended is reported as missing, once; a new one that fits joins.
 */
#pragma once

#include "daemon/control/dump.h"

#define SERIES_NAME_BYTES 256

struct series_spec {
	bool heap, cpu, offcpu, threads, trace;
	unsigned waits;		       /* HEAP_WAITS_BIT of block, mutex, threadcreate */
	pid_t pid;		       /* 0: any */
	char comm[PROCESS_COMM_BYTES]; /* "": any */
	char unit[SERIES_NAME_BYTES];
	bool any_uid; /* else only processes of @uid */
	uid_t uid;
	uint64_t every_ns;
	uint32_t count; /* at least 1 */
	bool rotation;	/* without end; takes the current window; begins after every_ns */
	/* cpu, offcpu, trace, block, mutex: measure for so long from each step; 0: what there
	 * is. The last two of a client that does not always measure: only so. */
	uint64_t seconds_ns;
	struct dump_options options;
};

struct series_handlers {
	void (*on_file)(const struct dump_result *result, uint32_t index, void *userdata);
	void (*on_missing)(const char *type, pid_t pid, const char *comm, const char *why,
			   uint32_t index, void *userdata);
	/* The last call; the series is gone when it returns. */
	void (*on_done)(uint32_t files, uint32_t missing, void *userdata);
};

struct series;

/* Begins with a first step from the loop. Returns 0 or -errno. */
int series_start(struct control_context *ctx, const struct series_spec *spec,
		 const struct series_handlers *handlers, void *userdata,
		 struct series **ret_series);

/* Ends it early: no handler is called any more. What the scribe already has it
 * finishes. NULL is fine. */
void series_cancel(struct series *s);

/* Before samples become of another kind: the CPU profiles that are being measured
 * are written as they are, with @note among their comments, and so is the
 * rotation's. What the windows hold after that is of no use. */
void series_cut(struct control_context *ctx, const char *note);

/* Ends the measurement under way now, if it is one of a single step: what there is
 * is written, with the comment @note unless that is "". NULL is fine. */
void series_stop(struct series *s, const char *note);

/* Whether @client is one that @spec asks for. */
bool series_matches(const struct series_spec *spec, const struct heap_client *client);

/* Whether there is one such, alive. */
bool series_has_target(const struct control_context *ctx, const struct series_spec *spec);
