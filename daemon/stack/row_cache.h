/*
 * Call-frame rows by (module, offset), remembered across samples and processes.
 * Also remembers that there is none, which is as dear to find out. Fixed size;
 * module ids are never reused, so nothing in it ever becomes wrong.
 */
#pragma once

#include <stdint.h>

#include "proto/cfi.h"

struct row_entry {
	uint32_t module; /* 0: the entry is free */
	int32_t result;	 /* what cfi_find_row() returned */
	uint64_t offset;
	struct cfi_row row; /* valid if result is 0 */
};

struct row_cache;

int row_cache_new(struct row_cache **ret_cache);
void row_cache_free(struct row_cache *cache);

/* The entry, or NULL. Valid until the next row_cache_add(). */
const struct row_entry *row_cache_find(struct row_cache *cache, uint32_t module, uint64_t offset);
const struct row_entry *row_cache_add(struct row_cache *cache, uint32_t module, uint64_t offset,
				      int result, const struct cfi_row *row);
