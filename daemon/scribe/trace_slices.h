/*
 * From events to slices: what each thread did between two of them.
 */
#pragma once

#include "daemon/profile/trace.h"
#include "daemon/scribe/trace_stacks.h"
#include "proto/gzip.h"
#include "proto/pprof.h"

struct trace_slices;

/* All of them must outlive it. Returns 0 or -ENOMEM. */
int trace_slices_new(const struct pprof *p, const struct trace_stacks *stacks,
		     const struct trace_header *header, struct gzip_writer *w,
		     struct trace_slices **ret_slices);
void trace_slices_free(struct trace_slices *s);

/* In order of time: first all events, to know what each thread did at the beginning; then
 * trace_slices_begin(), and all of them once more, to be written; then the end. What is
 * looked at has an entry, unless its kind may be without. Returns 0 or -ENOMEM. */
int trace_slices_look(struct trace_slices *s, const struct trace_event *e);
void trace_slices_begin(struct trace_slices *s);
void trace_slices_put(struct trace_slices *s, const struct trace_event *e);
void trace_slices_end(struct trace_slices *s);
