/*
 * The types of profile that a request names, and how long these are measured.
 */
#pragma once

#include "daemon/control/peer.h"

/* The types of a snapshot. False: it has been answered with an error. */
bool types_parse(struct peer *p, const Profd__Snapshot *q, struct series_spec *spec);

/* Types that are written beside the heap, as HEAP_WAITS_BIT. False: likewise. */
bool types_parse_waits(struct peer *p, char *const *names, size_t n, unsigned *ret_waits);

/* Once it is known who the targets are. */
void types_choose_seconds(const struct peer *p, struct series_spec *spec);
