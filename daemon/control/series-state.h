/*
 * What a series is made of, between series.c, which goes from step to step, and
 * series_targets.c, which knows whom it is about.
 */
#pragma once

#include "daemon/control/measure.h"
#include "daemon/control/series.h"

struct ticket {
	struct series *series; /* NULL: cancelled */
	struct ticket *next;
	struct heap_client *client; /* a reference; NULL: not of a heap */
};

struct target {
	struct heap_client *client; /* a reference */
	struct target *next;
};

struct series {
	struct control_context *ctx;
	struct series *prev, *next; /* in ctx->series */
	struct series_spec spec;
	struct series_handlers handlers;
	void *userdata;
	uint32_t index; /* of the step under way, from 1 */
	uint32_t files, missing;
	unsigned pending; /* dumps under way */
	bool stepping;	  /* a step is being started: it does not end while this holds */
	uint64_t due_mono_ns;
	struct window *window; /* cpu: its own, from the first step on */
	struct window *offcpu; /* with seconds_ns: as long as it measures */
	struct tracing *trace; /* likewise */
	struct measure *waits; /* likewise: those who are asked to measure theirs */
	bool measuring, stopped;
	char why[256];	  /* no offcpu */
	char no_trace[256]; /* why not */
	const char *note; /* of the CPU profile that is written now; NULL: none */
	char stop_note[256]; /* of who stopped it */
	struct target *targets;
	struct ticket *tickets;
	sd_event_source *timer;
};

/* A target, or NULL for none in particular, gave no file of @type. */
void series_tell_missing(struct series *s, const char *type, const struct heap_client *c,
			 const char *why);

void series_add_targets(struct series *s); /* those that have come */
void series_drop_ended(struct series *s);  /* and those that are gone, which are missing */
