/*
 * Frames that a profile itself asks to leave out of reports (drop_frames,
 * keep_frames), by pprof's rules. For proto/pprof_top.c.
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

/* For every location of @p, by id - 1; malloc'd. Returns 0 or -ENOMEM. */
int pprof_prune(const struct pprof *p, struct pprof_pruned **ret_pruned);

/* How many of a sample's locations, from the leaf, go whole. @locations: ids,
 * leaf first. */
size_t pprof_prune_sample(const struct pprof_pruned *pruned, const uint64_t *locations, size_t n);
