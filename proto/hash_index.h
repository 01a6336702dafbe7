/*
 * Finds records in tables by what is in them: an open-addressing index of
 * record numbers. The records stay in the caller's table; the index keeps
 * eight bytes a record and never looks into one but through @equal.
 *
 * Hashes are keyed with a secret of this process, because the contents
 * (paths, symbols, stacks) are chosen by the programs that are profiled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_INDEX_NONE UINT32_MAX
#define HASH_INDEX_MAX	(UINT32_MAX - 1) /* record numbers are below this */

struct hash_slot {
	uint32_t hash;
	uint32_t record; /* plus one; 0: free */
};

struct hash_index { /* all zero: empty */
	struct hash_slot *slots;
	size_t n_slots; /* a power of two, or 0 */
	size_t n_used;
};

/* Is @record of @table the one that @key describes? */
typedef bool (*hash_index_equal_t)(const void *table, uint32_t record, const void *key);

uint64_t hash_index_bytes(const void *bytes, size_t n);

/* The record's number, or HASH_INDEX_NONE. */
uint32_t hash_index_find(const struct hash_index *index, uint64_t hash, hash_index_equal_t equal,
			 const void *table, const void *key);

/* Adds a record that is not in it yet. Returns 0 or -ENOMEM. */
int hash_index_add(struct hash_index *index, uint64_t hash, uint32_t record);

void hash_index_done(struct hash_index *index);
