/*
 * Sets of two entries: the one used last is first, the other one is replaced.
 * The memory is touched only as far as it is used.
 */
#include "daemon/stack/row_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "profd/base.h"

#define SET_BITS 14
#define WAYS	 2

struct row_cache {
	struct row_entry sets[1 << SET_BITS][WAYS];
};

static struct row_entry *find_set(struct row_cache *cache, uint32_t module, uint64_t offset)
{
	uint64_t hash = (offset ^ ((uint64_t)module << 40)) * 0x9e3779b97f4a7c15ULL;

	return cache->sets[hash >> (64 - SET_BITS)];
}

int row_cache_new(struct row_cache **ret_cache)
{
	struct row_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	*ret_cache = cache;
	return 0;
}

void row_cache_free(struct row_cache *cache)
{
	free(cache);
}

const struct row_entry *row_cache_find(struct row_cache *cache, uint32_t module, uint64_t offset)
{
	struct row_entry *set = find_set(cache, module, offset), used;

	if (likely(set[0].module == module && set[0].offset == offset))
		return &set[0];
	if (set[1].module != module || set[1].offset != offset)
		return NULL;
	used = set[1];
	set[1] = set[0];
	set[0] = used;
	return &set[0];
}

const struct row_entry *row_cache_add(struct row_cache *cache, uint32_t module, uint64_t offset,
				      int result, const struct cfi_row *row)
{
	struct row_entry *set = find_set(cache, module, offset);

	set[1] = set[0];
	set[0] = (struct row_entry){.module = module, .result = result, .offset = offset};
	if (result == 0)
		set[0].row = *row;
	return &set[0];
}
