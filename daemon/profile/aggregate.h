/*
 * Samples summed by (stack, labels): what a window collects and a snapshot
 * freezes. Owns copies of everything it is given. Bounded: beyond
 * @max_stacks distinct entries, or the bytes that aggregate_limit_bytes() allows
 * them, a sample is refused and counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/proc/sample.h"

struct aggregate;

/* @n_values <= SAMPLE_VALUES_MAX. Returns 0, -EINVAL or -ENOMEM. */
int aggregate_new(size_t n_values, size_t max_stacks, struct aggregate **ret_aggregate);
void aggregate_free(struct aggregate *a);

/* Adds. Returns 0, -ENOMEM, or -ENOSPC when full. */
int aggregate_add(struct aggregate *a, const struct sample *s);
/* The same, and which entry it went to: a number that holds as long as the aggregate. */
int aggregate_intern(struct aggregate *a, const struct sample *s, uint32_t *ret_entry);

void aggregate_limit_bytes(struct aggregate *a, size_t max_bytes); /* at first: none */
size_t aggregate_bytes(const struct aggregate *a);		   /* in use */
bool aggregate_is_full(const struct aggregate *a);

size_t aggregate_count(const struct aggregate *a);
uint64_t aggregate_refused(const struct aggregate *a); /* samples refused, by number */

size_t aggregate_n_values(const struct aggregate *a);

/* Calls @each for every entry, in the order of first appearance. The sample's
 * frames hold for the call only. Stops when @each returns non-zero and returns
 * that; -ENOMEM. */
int aggregate_each(const struct aggregate *a, int (*each)(const struct sample *s, void *userdata),
		   void *userdata);

/* The same, closer to how it is kept: distinct frames are numbered, and entry
 * @i (below aggregate_count()) names its frames by number, leaf first. Pointers
 * hold until the aggregate changes. */
struct aggregate_entry {
	const uint32_t *frames;
	size_t n_frames;
	struct sample_labels labels;
	const int64_t *values; /* aggregate_n_values() */
};
const struct frame *aggregate_frames(const struct aggregate *a, size_t *ret_n);
void aggregate_entry(const struct aggregate *a, size_t i, struct aggregate_entry *ret_entry);
