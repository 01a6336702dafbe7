/*
 * Frames that a profile itself asks to leave out of reports (drop_frames,
 * keep_frames), by pprof's rules. For proto/pprof_top.c and the scribe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pprof;

struct pprof_pruned {	  /* one location */
	uint32_t n_lines; /* its innermost lines that go wherever it is seen */
	bool beneath;	  /* in a stack, what it called goes */
	bool whole;	  /* and so does itself */
};

/* Both expressions, compiled; "": none. One that is not understood is ignored. The C
 * library's compiler (glibc 2.36) frees twice what it could not allocate wholly, so
 * whoever lives on little memory has it made before it gets scarce. Returns 0 or
 * -ENOMEM. */
struct pprof_filter;
int pprof_filter_new(const char *drop_frames, const char *keep_frames,
		     struct pprof_filter **ret_filter);
void pprof_filter_free(struct pprof_filter *f);

/* For every location of @p, by id - 1; malloc'd. @ready: taken if it is of @p's own
 * expressions, which else are compiled; NULL: none is. Returns 0 or -ENOMEM. */
int pprof_prune(const struct pprof *p, const struct pprof_filter *ready,
		struct pprof_pruned **ret_pruned);

/* How many of a sample's locations, from the leaf, go whole. @locations: ids,
 * leaf first. */
size_t pprof_prune_sample(const struct pprof_pruned *pruned, const uint64_t *locations, size_t n);
