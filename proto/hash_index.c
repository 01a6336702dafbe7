/*
 * Linear probing in a table that is never more than half full. Nothing is ever
 * removed, so a free slot ends every search. Slots carry 32 bits of the hash:
 * growing needs no look at the records, and @equal is hardly ever asked in vain.
 */
#include "proto/hash_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define FIRST_SLOTS 64

/* 16 random bytes that the kernel gives to every process at exec. */
static void get_secret(uint64_t ret[2])
{
	const uint8_t *random = (const uint8_t *)getauxval(AT_RANDOM);

	ret[0] = ret[1] = 0;
	if (random)
		memcpy(ret, random, 2 * sizeof(*ret));
	ret[0] |= 1; /* never a zero factor */
	ret[1] |= 1;
}

/* Both halves of a 128-bit product: every bit of either factor reaches the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_index_bytes(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	uint64_t secret[2], first, second, h, word;

	get_secret(secret);
	first = secret[0];
	second = secret[1];
	h = mix(first ^ n, second);
	for (; n >= sizeof(word); n -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		h = mix(h ^ word, second) + first;
	}
	if (n) {
		word = 0;
		memcpy(&word, at, n);
		h = mix(h ^ word, second) + first;
	}
	return mix(h, first ^ 0x9e3779b97f4a7c15ULL);
}

uint32_t hash_index_find(const struct hash_index *index, uint64_t hash, hash_index_equal_t equal,
			 const void *table, const void *key)
{
	size_t mask = index->n_slots - 1;

	if (!index->n_slots)
		return HASH_INDEX_NONE;
	for (size_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
		const struct hash_slot *slot = &index->slots[i];

		if (!slot->record)
			return HASH_INDEX_NONE;
		if (slot->hash == (uint32_t)hash && equal(table, slot->record - 1, key))
			return slot->record - 1;
	}
}

static void place(struct hash_slot *slots, size_t n_slots, struct hash_slot slot)
{
	size_t mask = n_slots - 1, i = slot.hash & mask;

	while (slots[i].record)
		i = (i + 1) & mask;
	slots[i] = slot;
}

static int grow(struct hash_index *index)
{
	size_t n_slots = index->n_slots ? index->n_slots * 2 : FIRST_SLOTS;
	struct hash_slot *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < index->n_slots; i++)
		if (index->slots[i].record)
			place(slots, n_slots, index->slots[i]);
	free(index->slots);
	index->slots = slots;
	index->n_slots = n_slots;
	return 0;
}

int hash_index_add(struct hash_index *index, uint64_t hash, uint32_t record)
{
	int r;

	if (record >= HASH_INDEX_MAX)
		return -ENOMEM;
	if ((index->n_used + 1) * 2 > index->n_slots) {
		r = grow(index);
		if (r < 0)
			return r;
	}
	place(index->slots, index->n_slots,
	      (struct hash_slot){.hash = (uint32_t)hash, .record = record + 1});
	index->n_used++;
	return 0;
}

void hash_index_done(struct hash_index *index)
{
	free(index->slots);
	*index = (struct hash_index){0};
}
