#include "client/profctl/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

/* Finest first: pick() takes the last that fits. */
static const struct units byte_units[] = {
	{1, "B"},
	{1024.0, "kB"},
	{1024.0 * 1024, "MB"},
	{1024.0 * 1024 * 1024, "GB"},
	{1024.0 * 1024 * 1024 * 1024, "TB"},
	{1024.0 * 1024 * 1024 * 1024 * 1024, "PB"},
};
static const struct units time_units[] = {
	{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}, {3600e9, "hrs"},
};

static double magnitude(int64_t value)
{
	return value < 0 ? -(double)value : (double)value;
}

static struct units pick(double value, const char *unit)
{
	struct units best = {1, ""};
	const struct units *table = NULL;
	size_t n = 0;

	if (strcmp(unit, "bytes") == 0) {
		table = byte_units;
		n = ARRAY_SIZE(byte_units);
	} else if (strcmp(unit, "nanoseconds") == 0) {
		table = time_units;
		n = ARRAY_SIZE(time_units);
	}
	for (size_t i = 0; i < n; i++)
		if (i == 0 || value >= table[i].factor)
			best = table[i];
	return best;
}

struct units units_pick_range(int64_t smallest, int64_t total, const char *unit)
{
	double low = magnitude(smallest), high = magnitude(total);
	struct units fine = pick(low, unit), coarse = pick(high, unit);

	if (fine.factor == coarse.factor || low * 100 >= high)
		return fine;
	/* Two decimals still show the smallest in a unit 100 times its size. */
	return pick(low * 100, unit);
}

void units_format(int64_t value, struct units units, char *ret, size_t size)
{
	char number[UNITS_BYTES];
	size_t n;

	snprintf(number, sizeof(number), "%.2f", (double)value / units.factor);
	n = strlen(number);
	if (n > 3 && strcmp(number + n - 3, ".00") == 0)
		number[n - 3] = '\0';
	if (strcmp(number, "0") == 0 || strcmp(number, "-0") == 0)
		snprintf(ret, size, "0");
	else
		snprintf(ret, size, "%s%s", number, units.suffix);
}

void units_format_auto(int64_t value, const char *unit, char *ret, size_t size)
{
	units_format(value, pick(magnitude(value), unit), ret, size);
}

void units_format_percent(int64_t value, int64_t total, char *ret, size_t size)
{
	double percent = 0;

	if (total != 0)
		percent = fabs((double)value / (double)total) * 100;
	if (percent >= 99.95 && percent <= 100.05)
		snprintf(ret, size, "  100%%");
	else if (percent >= 1)
		snprintf(ret, size, "%5.2f%%", percent);
	else
		snprintf(ret, size, "%5.2g%%", percent);
}
