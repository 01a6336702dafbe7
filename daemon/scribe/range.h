/*
 * Address ranges with a value each, many of them, asked for by address. Ranges
 * may nest or overlap; the one that begins last wins.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t low, high; /* low <= address < high */
	uint64_t reach;	    /* the greatest `high` up to here: where a search backwards may end */
	uint64_t value;
};

struct range_table {
	struct range *ranges;
	size_t n, room;
};

/* Returns 0 or -ENOMEM. */
int range_table_add(struct range_table *table, uint64_t low, uint64_t high, uint64_t value);
void range_table_sort(struct range_table *table); /* once, after the last is added */
void range_table_done(struct range_table *table);

/* NULL: none covers @address. */
const struct range *range_table_find(const struct range_table *table, uint64_t address);
