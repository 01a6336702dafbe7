/*
 * Which bytes are UTF-8: one definition for all that writes what other programs read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 character at @s (NUL-terminated), or 0. */
static inline size_t utf8_char_bytes(const uint8_t *s)
{
	uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte: no overlong forms, */
	size_t n;			 /* no surrogates, nothing beyond U+10FFFF */

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}
