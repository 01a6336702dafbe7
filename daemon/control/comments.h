/*
 * The comment lines of a profile, which readers show in their header: what was
 * lost, what the trim did, and the reckoning between the profile and RSS.
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/control/sight.h"
#include "daemon/heap/read.h"
#include "daemon/heap/trim.h"
#include "daemon/proc/memory.h"

#define COMMENTS_MAX 32

struct comments {
	const char *lines[COMMENTS_MAX]; /* owned */
	size_t n;
};

struct comments_heap {			     /* beside the profile itself */
	const struct trim *trim;	     /* NULL: none was asked for */
	const char *trim_line;		     /* "" then */
	const struct process_memory *memory; /* NULL: the process is gone */
	const char *allocator; /* what of the heap cannot be seen (allocator.h); NULL: nothing */
	const char *note;      /* NULL: none */
};

/* Lines for which there is no memory are left out. */
void comments_of_heap(struct comments *c, const struct heap_profile *profile,
		      const struct comments_heap *heap);
/* Of what threads wait for one another; @block: and not of threads created, or mutexes. */
void comments_of_waits(struct comments *c, const struct heap_profile *profile, bool block,
		       const char *note);
void comments_of_cpu(struct comments *c, const struct control_context *ctx,
		     const struct window_span *span, const char *note);
void comments_of_offcpu(struct comments *c, const struct control_context *ctx,
			const struct window_span *span, const char *note);
void comments_of_threads(struct comments *c, const struct threads_counts *counts);
void comments_of_trace(struct comments *c, const struct control_context *ctx, const char *note);
void comments_of_sight(struct comments *c, const struct sight *sight); /* what is left out */
void comments_done(struct comments *c);
