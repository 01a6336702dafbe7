/*
 * Durations as people write them: 500ms 30s 1.5s 5m 2h, and sums of these
 * (1m30s).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The forms, for error messages. */
#define DURATION_FORMS "write it like 500ms, 30s, 5m or 2h"

/* Returns 0, -EINVAL: not a duration, -ERANGE: too long for 64 bits of
 * nanoseconds. A number without a unit counts as so many @bare_ns; 0: it is
 * not a duration. */
int duration_parse(const char *text, uint64_t bare_ns, uint64_t *ret_ns);

/* "312ms", "28s", "5m10s", "2h3m", "4d2h": two units at most, cut off, not rounded. */
#define DURATION_BYTES 32
void duration_format(uint64_t ns, char *ret, size_t size);
