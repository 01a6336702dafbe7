/*
 * What the tables of all clients count of samples taken and lost, those of processes that
 * have ended included.
 */
#pragma once

#include <stdint.h>

#include "profd/heap_table.h"

struct heap_totals {
	uint64_t samples;
	uint64_t lost[HEAP_LOST_N];
	uint64_t labels_refused;
};

/* Brings *@t, what was read of one table before, up to its header. A table says what its
 * process pleases: a count never goes back by it, and has a limit. */
void heap_totals_look(struct heap_totals *t, const struct heap_header *header);
void heap_totals_add(struct heap_totals *to, const struct heap_totals *t);
