#include "daemon/profile/layout.h"

#include <errno.h>
#include <string.h>

/* The first range that ends behind @address; ranges.n: none does. */
static size_t find(const struct layout *l, uint64_t address)
{
	size_t low = 0, high = l->ranges.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->ranges.items[middle].limit <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_free_at(const struct layout *l, size_t i, uint64_t limit)
{
	return i == l->ranges.n || l->ranges.items[i].start >= limit;
}

bool layout_is_free(const struct layout *l, uint64_t start, uint64_t limit)
{
	return is_free_at(l, find(l, start), limit);
}

static uint64_t page_ceil(uint64_t address)
{
	return (address + LAYOUT_PAGE_BYTES - 1) & ~(LAYOUT_PAGE_BYTES - 1);
}

/* Ranges above the base that are in the way are stepped over. */
static int find_synthetic(struct layout *l, uint64_t bytes, uint64_t *ret)
{
	uint64_t start = l->next_synthetic ? l->next_synthetic : LAYOUT_SYNTHETIC_BASE;

	for (;;) {
		size_t i = find(l, start);

		if (bytes > UINT64_MAX - LAYOUT_PAGE_BYTES - start)
			return -ENOSPC;
		if (is_free_at(l, i, start + bytes))
			break;
		start = page_ceil(l->ranges.items[i].limit);
	}
	*ret = start;
	return 0;
}

int layout_take(struct layout *l, uint64_t wanted, uint64_t bytes, uint64_t *ret_start)
{
	uint64_t start = wanted;
	size_t i;
	int r;

	if (l->ranges.n >= LAYOUT_MAX_RANGES)
		return -ENOSPC;
	if (!wanted || bytes > UINT64_MAX - wanted || !layout_is_free(l, wanted, wanted + bytes)) {
		r = find_synthetic(l, bytes, &start);
		if (r < 0)
			return r;
		l->next_synthetic = page_ceil(start + bytes);
	}
	if (array_grow(&l->ranges, 1) < 0)
		return -ENOMEM;
	i = find(l, start);
	memmove(&l->ranges.items[i + 1], &l->ranges.items[i],
		(l->ranges.n - i) * sizeof(*l->ranges.items));
	l->ranges.items[i] = (struct layout_range){.start = start, .limit = start + bytes};
	l->ranges.n++;
	*ret_start = start;
	return 0;
}

void layout_done(struct layout *l)
{
	free(l->ranges.items);
	*l = (struct layout){0};
}
