/*
 * The bytes lie in chunks that never move. A string longer than a chunk gets
 * one of its own.
 */
#include "proto/string_table.h"

#include <stdbool.h>
#include <string.h>

#include "profd/base.h"
#include "proto/utf8.h"

#define CHUNK_BYTES (64 * 1024)

struct string_chunk {
	struct string_chunk *next;
	size_t used, room;
	char bytes[];
};

/* Nearly all is ASCII: eight bytes at a time while there are as many. */
static bool is_utf8(const char *string, size_t n_bytes)
{
	const uint8_t *s = (const uint8_t *)string, *end = s + n_bytes;
	uint64_t word;

	while (s < end) {
		size_t n;

		while ((size_t)(end - s) >= sizeof(word)) {
			memcpy(&word, s, sizeof(word));
			if (word & 0x8080808080808080ULL)
				break;
			s += sizeof(word);
		}
		if (s == end)
			break;
		n = utf8_char_bytes(s);
		if (!n)
			return false;
		s += n;
	}
	return true;
}

/* A copy with every bad byte replaced; NULL: no memory. */
static char *repair(const char *string)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const uint8_t *s = (const uint8_t *)string;
	char *copy = reallocarray(NULL, strlen(string) + 1, 3), *at = copy;

	if (!copy)
		return NULL;
	while (*s) {
		size_t n = utf8_char_bytes(s);

		memcpy(at, n ? (const char *)s : replacement, n ? n : 3);
		at += n ? n : 3;
		s += n ? n : 1;
	}
	*at = '\0';
	return copy;
}

static char *store(struct string_table *t, const char *string, size_t n_bytes)
{
	struct string_chunk *chunk = t->chunks;
	size_t room = max(n_bytes, (size_t)CHUNK_BYTES);
	char *at;

	if (!chunk || chunk->room - chunk->used < n_bytes) {
		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct string_chunk){.next = t->chunks, .room = room};
		t->chunks = chunk;
	}
	at = chunk->bytes + chunk->used;
	memcpy(at, string, n_bytes);
	chunk->used += n_bytes;
	return at;
}

static bool string_equal(const void *table, uint32_t record, const void *key)
{
	const struct string_table *t = table;

	return !strcmp(t->strings.items[record], key);
}

static int intern_valid(struct string_table *t, const char *string, size_t n, uint32_t *ret)
{
	uint64_t hash = hash_index_bytes(string, n);
	uint32_t number = hash_index_find(&t->index, hash, string_equal, t, string);
	char *copy;

	if (number == HASH_INDEX_NONE) {
		if (array_grow(&t->strings, 1) < 0)
			return -ENOMEM;
		copy = store(t, string, n + 1);
		number = (uint32_t)t->strings.n;
		if (!copy || hash_index_add(&t->index, hash, number) < 0)
			return -ENOMEM;
		t->strings.items[t->strings.n++] = copy;
	}
	*ret = number;
	return 0;
}

int string_table_intern(struct string_table *t, const char *string, uint32_t *ret_number)
{
	_cleanup_free_ char *repaired = NULL;
	size_t n;

	if (!string || !*string) {
		*ret_number = 0;
		return 0;
	}
	n = strlen(string);
	if (is_utf8(string, n))
		return intern_valid(t, string, n, ret_number);
	repaired = repair(string);
	return repaired ? intern_valid(t, repaired, strlen(repaired), ret_number) : -ENOMEM;
}

uint32_t string_table_find(const struct string_table *t, const char *string)
{
	return hash_index_find(&t->index, hash_index_bytes(string, strlen(string)), string_equal, t,
			       string);
}

int string_table_init(struct string_table *t)
{
	uint32_t zero;

	*t = (struct string_table){0};
	if (intern_valid(t, "", 0, &zero) < 0) {
		string_table_done(t);
		return -ENOMEM;
	}
	return 0;
}

void string_table_done(struct string_table *t)
{
	struct string_chunk *chunk = t->chunks;

	while (chunk) {
		struct string_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	free(t->strings.items);
	hash_index_done(&t->index);
	*t = (struct string_table){0};
}
