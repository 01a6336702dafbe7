/*
 * Off-CPU time, from what was collected to what is told: the known time of waits
 * without a stack is divided among the stacks that were sampled beside them
 * (the why is in daemon/cpu/wait.c).
 *
 * An entry's `bytes` label is its stratum, within its thread: 0, none. Its values:
 */
#pragma once

#include "daemon/profile/aggregate.h"

enum settle_value {
	SETTLE_COUNT,	       /* known waits */
	SETTLE_NS,	       /* known time */
	SETTLE_WEIGHTED_COUNT, /* the sampled ones, each as often as it stands for others; */
	SETTLE_WEIGHTED_NS,    /* in an entry of a stratum: 0, it has no stack */
	SETTLE_N,
};

/* Makes an aggregate of two values, count and nanoseconds, and without strata.
 * Both sums stay what they were. What a stratum without any sampled stack holds
 * stays under its own entry. Returns 0, -ENOMEM, or -EINVAL: not these values. */
int settle_waits(const struct aggregate *collected, struct aggregate **ret_settled);
