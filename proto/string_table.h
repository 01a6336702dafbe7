/*
 * Interned strings: each distinct one once, known by a small number. Number 0
 * is "". What goes in comes out as valid UTF-8: a byte that is no part of a
 * well-formed character becomes U+FFFD. Pointers stay valid until
 * string_table_done().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/array.h"
#include "proto/hash_index.h"

struct string_chunk;

struct string_table {
	ARRAY_TABLE(char *) strings;
	struct hash_index index;
	struct string_chunk *chunks;
};

/* On failure (-ENOMEM) there is nothing to undo. */
int string_table_init(struct string_table *t);
void string_table_done(struct string_table *t);

/* The number of @string; NULL counts as "". Returns 0 or -ENOMEM. */
int string_table_intern(struct string_table *t, const char *string, uint32_t *ret_number);

/* The number of @string if it is there, else HASH_INDEX_NONE. */
uint32_t string_table_find(const struct string_table *t, const char *string);

static inline const char *string_table_get(const struct string_table *t, uint32_t number)
{
	return t->strings.items[number];
}
