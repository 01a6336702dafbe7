/*
 * One address space for a profile of many processes. Each piece of a file keeps
 * the addresses it was seen at as long as no other piece has them; otherwise it
 * moves to a synthetic base, in a part of the address space that Linux gives to
 * programs last. Addresses in a profile are thus unique, and whoever needs the
 * file's own terms computes address - start + file_offset, moved or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/array.h"

#define LAYOUT_PAGE_BYTES     4096ULL
#define LAYOUT_SYNTHETIC_BASE 0x100000000000ULL /* 16 TiB */
#define LAYOUT_MAX_RANGES     16384

struct layout_range {
	uint64_t start, limit;
};

struct layout {					 /* all zero: empty */
	ARRAY_TABLE(struct layout_range) ranges; /* by start, disjoint */
	uint64_t next_synthetic;
};

bool layout_is_free(const struct layout *l, uint64_t start, uint64_t limit);

/* Takes @bytes at @wanted, or, if these are not all free or @wanted is 0, at a
 * synthetic base. Returns 0, -ENOMEM or -ENOSPC (LAYOUT_MAX_RANGES). */
int layout_take(struct layout *l, uint64_t wanted, uint64_t bytes, uint64_t *ret_start);

void layout_done(struct layout *l);
