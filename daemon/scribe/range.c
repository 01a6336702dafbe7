/*
 * A sorted array. Looking up is a binary search for the last range that begins
 * at or before the address, then steps back while an earlier one may still
 * reach as far. In what compilers write ranges hardly nest and one step is the
 * rule; RANGE_MAX_STEPS keeps a file that was made to nest from costing more.
 */
#include "daemon/scribe/range.h"

#include <errno.h>
#include <stdlib.h>

#include "profd/base.h"

#define RANGE_MAX_STEPS 256

int range_table_add(struct range_table *table, uint64_t low, uint64_t high, uint64_t value)
{
	struct range *grown;
	size_t room;

	if (table->n == table->room) {
		room = max(table->room * 2, (size_t)64);
		grown = reallocarray(table->ranges, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		table->ranges = grown;
		table->room = room;
	}
	table->ranges[table->n++] = (struct range){.low = low, .high = high, .value = value};
	return 0;
}

/* Of two that begin together the longer comes first: the shorter, inner one is
 * then found first. The value makes the order the same every time. */
static int compare_ranges(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->high != b->high)
		return a->high > b->high ? -1 : 1;
	return a->value < b->value ? -1 : a->value > b->value;
}

void range_table_sort(struct range_table *table)
{
	uint64_t reach = 0;

	if (table->n == 0)
		return;
	qsort(table->ranges, table->n, sizeof(*table->ranges), compare_ranges);
	for (size_t i = 0; i < table->n; i++) {
		reach = max(reach, table->ranges[i].high);
		table->ranges[i].reach = reach;
	}
}

void range_table_done(struct range_table *table)
{
	free(table->ranges);
	*table = (struct range_table){};
}

const struct range *range_table_find(const struct range_table *table, uint64_t address)
{
	size_t low = 0, high = table->n, middle;
	const struct range *range;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (table->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (unsigned i = 0; i < RANGE_MAX_STEPS && low > 0; i++) {
		range = &table->ranges[--low];
		if (address < range->high)
			return range;
		if (address >= range->reach)
			return NULL;
	}
	return NULL;
}
