/*
 * Quantities as pprof's own reports write them (bytes in binary multiples
 * called kB, MB, GB; two decimals, none if they are zero), so that figures can
 * be compared with `go tool pprof` by eye.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A unit to print in: the value is divided by @factor. */
struct units {
	double factor;
	const char *suffix; /* static */
};

/* The one unit for a table whose smallest value that is not zero is @smallest
 * and whose total is @total: as fine as the smallest needs, but not so fine
 * that the total becomes long. @unit is a pprof unit: "bytes", "nanoseconds"; any
 * other is printed as a plain number. */
struct units units_pick_range(int64_t smallest, int64_t total, const char *unit);

#define UNITS_BYTES 48
void units_format(int64_t value, struct units units, char *ret, size_t size);
/* In the largest unit in which @value is 1 or more. */
void units_format_auto(int64_t value, const char *unit, char *ret, size_t size);
/* " 9.90%", "  100%", "0.042%": six characters wide, as in pprof's tables. */
void units_format_percent(int64_t value, int64_t total, char *ret, size_t size);
