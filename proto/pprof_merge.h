/*
 * Profiles added to one another and taken from one another, sample by sample:
 * those of the same stack and labels become one. What comes to nothing is left
 * out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/pprof.h"

struct pprof_merge_input {
	const struct pprof *profile;
	bool subtract;
	const struct pprof_label *labels; /* given to each of its samples */
	size_t n_labels;		  /* at most PPROF_MERGE_LABELS */
};

#define PPROF_MERGE_LABELS 4

/* @n >= 1. Sample types, period, default type, frame filter, time and duration are
 * those of the first; comments are all of those not subtracted, each once. Sums
 * stop at the ends of int64_t. Returns 0; -EINVAL: they are not of one kind, or
 * too many labels; -ENOMEM. */
int pprof_merge(const struct pprof_merge_input *inputs, size_t n, struct pprof **ret_p);
