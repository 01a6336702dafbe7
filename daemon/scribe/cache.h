/*
 * Answers kept: (module, address) to lines, across jobs. Snapshots of one
 * program ask for the same addresses again and again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pprof.h"

struct cache;

/* @max_bytes: when more are held, all is let go. */
int cache_new(size_t max_bytes, struct cache **ret_cache);
void cache_free(struct cache *cache);

struct cache_answer {
	const struct pprof_line *lines;
	size_t n;
	bool named; /* false: a makeshift, for no name is known */
};

/* True when known. The answer holds until the next cache_add(). */
bool cache_find(const struct cache *cache, uint32_t module, uint64_t address,
		struct cache_answer *ret_answer);

/* Copies @answer. Returns 0 or -ENOMEM (then it is simply not cached). */
int cache_add(struct cache *cache, uint32_t module, uint64_t address,
	      const struct cache_answer *answer);

size_t cache_bytes(const struct cache *cache);
