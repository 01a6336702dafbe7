/*
 * Two hash tables: the answers, and the strings in them, each once. Nothing is
 * evicted singly: the working set of a few programs is far below the bound, and
 * a bound that is met costs one slow snapshot.
 */
#include "daemon/scribe/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "profd/base.h"

struct cache_key {
	uint64_t address;
	uint64_t module; /* as wide as that, so that the key has no padding */
};

struct cache_entry {
	UT_hash_handle hh;
	struct cache_key key;
	bool named;
	size_t n;
	struct pprof_line lines[];
};

struct cache_string {
	UT_hash_handle hh;
	char text[];
};

struct cache {
	struct cache_entry *entries;
	struct cache_string *strings;
	size_t bytes, max_bytes;
};

int cache_new(size_t max_bytes, struct cache **ret_cache)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->max_bytes = max_bytes;
	*ret_cache = cache;
	return 0;
}

static void cache_clear(struct cache *cache)
{
	struct cache_entry *entry, *next_entry;
	struct cache_string *string, *next_string;

	HASH_ITER (hh, cache->entries, entry, next_entry) {
		HASH_DEL(cache->entries, entry);
		free(entry);
	}
	HASH_ITER (hh, cache->strings, string, next_string) {
		HASH_DEL(cache->strings, string);
		free(string);
	}
	cache->bytes = 0;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	cache_clear(cache);
	free(cache);
}

size_t cache_bytes(const struct cache *cache)
{
	return cache->bytes;
}

static struct cache_entry *find_entry(const struct cache *cache, uint32_t module, uint64_t address)
{
	struct cache_key key = {.address = address, .module = module};
	struct cache_entry *entry;

	HASH_FIND (hh, cache->entries, &key, sizeof(key), entry)
		;
	return entry;
}

bool cache_find(const struct cache *cache, uint32_t module, uint64_t address,
		struct cache_answer *ret_answer)
{
	const struct cache_entry *entry = find_entry(cache, module, address);

	if (!entry)
		return false;
	*ret_answer = (struct cache_answer){
		.lines = entry->lines,
		.n = entry->n,
		.named = entry->named,
	};
	return true;
}

/* NULL: out of memory. */
static const char *intern(struct cache *cache, const char *text)
{
	struct cache_string *string;
	size_t n = strlen(text);

	HASH_FIND (hh, cache->strings, text, n, string)
		;
	if (string)
		return string->text;
	string = malloc(sizeof(*string) + n + 1);
	if (!string)
		return NULL;
	memcpy(string->text, text, n + 1);
	HASH_ADD_KEYPTR(hh, cache->strings, string->text, n, string);
	cache->bytes += sizeof(*string) + n + 1;
	return string->text;
}

int cache_add(struct cache *cache, uint32_t module, uint64_t address,
	      const struct cache_answer *answer)
{
	_cleanup_free_ struct cache_entry *entry = NULL;
	const struct pprof_line *lines = answer->lines;
	size_t n = answer->n;

	if (cache->bytes > cache->max_bytes)
		cache_clear(cache);
	if (find_entry(cache, module, address))
		return 0;
	entry = calloc(1, sizeof(*entry) + n * sizeof(*lines));
	if (!entry)
		return -ENOMEM;
	entry->key = (struct cache_key){.address = address, .module = module};
	entry->named = answer->named;
	entry->n = n;
	for (size_t i = 0; i < n; i++) {
		entry->lines[i] = lines[i];
		entry->lines[i].name = intern(cache, lines[i].name);
		entry->lines[i].system_name = intern(cache, lines[i].system_name);
		entry->lines[i].file = intern(cache, lines[i].file);
		if (!entry->lines[i].name || !entry->lines[i].system_name || !entry->lines[i].file)
			return -ENOMEM;
	}
	HASH_ADD(hh, cache->entries, key, sizeof(entry->key), entry);
	cache->bytes += sizeof(*entry) + n * sizeof(*lines);
	entry = NULL;
	return 0;
}
