/*
 * Durations are read by hand, in integers: strtod() would take the locale's
 * decimal point, and "inf", and lose nanoseconds of a long duration.
 */
#include "proto/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

#define SECONDS_PER_MINUTE 60ULL
#define SECONDS_PER_HOUR   (60 * SECONDS_PER_MINUTE)
#define SECONDS_PER_DAY	   (24 * SECONDS_PER_HOUR)

static const struct {
	const char *suffix;
	uint64_t ns;
} units[] = {
	/* "ms" before "m": the first that fits is taken. */
	{"ms", NSEC_PER_MSEC},
	{"s", NSEC_PER_SEC},
	{"m", SECONDS_PER_MINUTE *NSEC_PER_SEC},
	{"h", SECONDS_PER_HOUR *NSEC_PER_SEC},
};

struct decimal {
	uint64_t whole;
	uint64_t billionths;
};

static int read_whole(const char **text, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	*text = p;
	*ret_value = value;
	return 0;
}

static int read_decimal(const char **text, struct decimal *ret_number)
{
	struct decimal number = {};
	uint64_t place = NSEC_PER_SEC / 10;
	const char *p = *text;
	int r;

	r = read_whole(&p, &number.whole);
	if (r < 0)
		return r;
	if (*p == '.') {
		p++;
		if (*p < '0' || *p > '9')
			return -EINVAL;
		/* Digits beyond the ninth are less than any unit can show. */
		for (; *p >= '0' && *p <= '9'; p++, place /= 10)
			number.billionths += place * (uint64_t)(*p - '0');
	}
	*text = p;
	*ret_number = number;
	return 0;
}

static int read_unit(const char **text, uint64_t *ret_ns)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t n = strlen(units[i].suffix);

		if (strncmp(*text, units[i].suffix, n) == 0) {
			*text += n;
			*ret_ns = units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

static int multiply(const struct decimal *number, uint64_t unit_ns, uint64_t *ret_ns)
{
	unsigned __int128 ns;

	ns = (unsigned __int128)number->whole * unit_ns +
	     (unsigned __int128)number->billionths * unit_ns / NSEC_PER_SEC;
	if (ns > UINT64_MAX)
		return -ERANGE;
	*ret_ns = (uint64_t)ns;
	return 0;
}

int duration_parse(const char *text, uint64_t bare_ns, uint64_t *ret_ns)
{
	uint64_t sum = 0, unit_ns = 0, ns = 0;
	struct decimal number = {};
	bool first = true;
	int r;

	do {
		r = read_decimal(&text, &number);
		if (r < 0)
			return r;
		if (first && bare_ns != 0 && *text == '\0')
			unit_ns = bare_ns;
		else if (read_unit(&text, &unit_ns) < 0)
			return -EINVAL;
		r = multiply(&number, unit_ns, &ns);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, ns, &sum))
			return -ERANGE;
		first = false;
	} while (*text != '\0');
	*ret_ns = sum;
	return 0;
}

static void format_two(uint64_t seconds, uint64_t big, const char *big_suffix, uint64_t small,
		       const char *small_suffix, char *ret, size_t size)
{
	uint64_t rest = seconds % big / small;

	if (rest == 0)
		snprintf(ret, size, "%" PRIu64 "%s", seconds / big, big_suffix);
	else
		snprintf(ret, size, "%" PRIu64 "%s%" PRIu64 "%s", seconds / big, big_suffix, rest,
			 small_suffix);
}

void duration_format(uint64_t ns, char *ret, size_t size)
{
	uint64_t seconds = ns / NSEC_PER_SEC;

	if (seconds == 0)
		snprintf(ret, size, "%" PRIu64 "ms", (uint64_t)(ns / NSEC_PER_MSEC));
	else if (seconds < SECONDS_PER_MINUTE)
		snprintf(ret, size, "%" PRIu64 "s", seconds);
	else if (seconds < SECONDS_PER_HOUR)
		format_two(seconds, SECONDS_PER_MINUTE, "m", 1, "s", ret, size);
	else if (seconds < SECONDS_PER_DAY)
		format_two(seconds, SECONDS_PER_HOUR, "h", SECONDS_PER_MINUTE, "m", ret, size);
	else
		format_two(seconds, SECONDS_PER_DAY, "d", SECONDS_PER_HOUR, "h", ret, size);
}
