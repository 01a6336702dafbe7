/*
 * How long things took, as a number of them for each bucket, and all of it: what
 * Prometheus calls a histogram, of seconds.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_BOUNDS 14

/* In seconds, ascending: bucket i has what took at most so long, and longer than the
 * bound before; the last bucket, beside them, what took longer than all. */
extern const double histogram_bounds[HISTOGRAM_BOUNDS];

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1];
	uint64_t sum_ns;
};

void histogram_add(struct histogram *h, uint64_t ns);
