/*
 * Answers kept, across jobs: (file, address) to lines. Snapshots of one program
 * ask for the same addresses again and again, and the tenth shall cost next to
 * nothing.
 *
 * Files are known by what they are, not by the number that a module has at the
 * moment (file_key.h), so that a module which comes back is known again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pprof.h"

struct cache;

struct cache_counts {
	uint64_t hits, misses;
	uint64_t dropped; /* answers let go, to stay within the bound */
};

/* @max_bytes: of answers, functions and strings held at once. When there are more,
 * the ones that were not asked for lately are let go. */
int cache_new(size_t max_bytes, struct cache **ret_cache);
void cache_free(struct cache *cache);

/* The file's number, never 0. Returns 0 or -ENOMEM. Numbers hold until the next
 * cache_begin(). */
int cache_file(struct cache *cache, const void *key, size_t n, uint32_t *ret_file);

/* From here on lines are for @p, until the next call or its end. */
void cache_begin(struct cache *cache, struct pprof *p);

struct cache_answer {
	bool named;
	uint64_t vaddr; /* if not: where it lies in the file's own terms */
};

/* 0: known, and if it has a name, location @id has its lines. -ENOENT: not known;
 * -ENOMEM. */
int cache_answer(struct cache *cache, uint32_t file, uint64_t address, uint64_t id,
		 struct cache_answer *ret_answer);

/* @n 0: there is no name, and it lies at @vaddr. What cannot be kept is not. */
void cache_add(struct cache *cache, uint32_t file, uint64_t address, const struct pprof_line *lines,
	       size_t n, uint64_t vaddr);

size_t cache_bytes(const struct cache *cache);
void cache_count(const struct cache *cache, struct cache_counts *ret_counts);
