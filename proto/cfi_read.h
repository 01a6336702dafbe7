/*
 * Bounded reading of .eh_frame bytes, for proto/cfi*.c only. A cursor that is
 * asked for more than it holds answers 0, stops at its end and remembers it
 * in `bad`, so that a parser may read a whole record and check once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cfi_cursor {
	const uint8_t *at, *end;
	uint64_t vaddr; /* of `end`: fixed while `at` moves */
	bool bad;
};

static inline uint64_t cfi_left(const struct cfi_cursor *c)
{
	return (uint64_t)(c->end - c->at);
}

static inline uint64_t cfi_here(const struct cfi_cursor *c)
{
	return c->vaddr - cfi_left(c);
}

static inline void cfi_fail(struct cfi_cursor *c)
{
	c->at = c->end;
	c->bad = true;
}

static inline void cfi_skip(struct cfi_cursor *c, uint64_t bytes)
{
	if (bytes > cfi_left(c))
		cfi_fail(c);
	else
		c->at += bytes;
}

/* The fixed-size integers are little-endian, as the machine is. */
static inline uint64_t cfi_read(struct cfi_cursor *c, unsigned bytes)
{
	uint64_t v = 0;

	if (bytes > cfi_left(c)) {
		cfi_fail(c);
		return 0;
	}
	memcpy(&v, c->at, bytes);
	c->at += bytes;
	return v;
}

static inline uint8_t cfi_u8(struct cfi_cursor *c)
{
	if (c->at == c->end) {
		c->bad = true;
		return 0;
	}
	return *c->at++;
}

/* Both kinds of LEB128. Bits beyond the 64th are malformed, but for padding. */
static inline uint64_t cfi_leb(struct cfi_cursor *c, bool is_signed)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = cfi_u8(c);
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (shift > 140)
			cfi_fail(c);
	} while ((byte & 0x80) && !c->bad);

	if (is_signed && shift < 64 && (byte & 0x40))
		v |= ~0ULL << shift;
	return v;
}

static inline uint64_t cfi_uleb(struct cfi_cursor *c)
{
	return cfi_leb(c, false);
}

static inline int64_t cfi_sleb(struct cfi_cursor *c)
{
	return (int64_t)cfi_leb(c, true);
}
