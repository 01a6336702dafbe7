/*
 * Two generations. What is added, and what is asked for, goes into the young one;
 * when that holds half of the bound, the old one is dropped as a whole and the
 * young one takes its place. So whatever was asked for lately is held, nothing has
 * to be evicted singly, and a generation is a dozen allocations: answers in a run,
 * their lines in a run, each function once, each string once.
 *
 * A function that is given to a profile for the second time is known there by its
 * number (`given`), and no string is looked at again. That is what makes an answer
 * from here cheap: there are several times as many lines as functions.
 */
#include "daemon/scribe/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/scribe/symbol.h"
#include "proto/array.h"
#include "proto/hash_index.h"
#include "proto/string_table.h"

#define CACHE_MAX_FILES 65536 /* keys; beyond, all is let go */

struct answer {
	uint64_t address;
	uint64_t at; /* the first of its lines; if there are none, vaddr */
	uint32_t file;
	uint32_t n_lines;
};

struct function {
	uint32_t name, system_name, file; /* strings */
	uint32_t given;			  /* its id in the profile at hand; 0: not yet */
	int64_t start_line;
};

struct generation {
	struct string_table strings;
	ARRAY_TABLE(struct function) functions;
	ARRAY_TABLE(struct pprof_line_function) lines;
	ARRAY_TABLE(struct answer) answers;
	struct hash_index function_index, answer_index;
	size_t bytes;
};

struct key {
	size_t n;
	uint8_t bytes[];
};

struct cache {
	struct generation young, old;
	ARRAY_TABLE(struct key *) keys;
	struct hash_index key_index;
	struct pprof *profile; /* at hand */
	size_t max_bytes;
	struct cache_counts counts;
};

static void generation_done(struct generation *g)
{
	string_table_done(&g->strings);
	free(g->functions.items);
	free(g->lines.items);
	free(g->answers.items);
	hash_index_done(&g->function_index);
	hash_index_done(&g->answer_index);
	*g = (struct generation){};
}

static void keys_done(struct cache *cache)
{
	for (size_t i = 0; i < cache->keys.n; i++)
		free(cache->keys.items[i]);
	cache->keys.n = 0;
	hash_index_done(&cache->key_index);
}

int cache_new(size_t max_bytes, struct cache **ret_cache)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->max_bytes = max_bytes;
	if (string_table_init(&cache->young.strings) < 0) {
		cache_free(cache);
		return -ENOMEM;
	}
	*ret_cache = cache;
	return 0;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	generation_done(&cache->young);
	generation_done(&cache->old);
	keys_done(cache);
	free(cache->keys.items);
	free(cache);
}

size_t cache_bytes(const struct cache *cache)
{
	return cache->young.bytes + cache->old.bytes;
}

void cache_count(const struct cache *cache, struct cache_counts *ret_counts)
{
	*ret_counts = cache->counts;
}

/* ---- files */

struct wanted_key {
	const void *bytes;
	size_t n;
};

static bool key_equal(const void *table, uint32_t record, const void *wanted)
{
	const struct key *key = ((const struct cache *)table)->keys.items[record];
	const struct wanted_key *w = wanted;

	return key->n == w->n && memcmp(key->bytes, w->bytes, w->n) == 0;
}

int cache_file(struct cache *cache, const void *bytes, size_t n, uint32_t *ret_file)
{
	const struct wanted_key wanted = {bytes, n};
	uint64_t hash = hash_index_bytes(bytes, n);
	uint32_t found = hash_index_find(&cache->key_index, hash, key_equal, cache, &wanted);
	struct key *key;

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)cache->keys.n;
		if (array_grow(&cache->keys, 1) < 0)
			return -ENOMEM;
		key = malloc(sizeof(*key) + n);
		if (!key || hash_index_add(&cache->key_index, hash, found) < 0) {
			free(key);
			return -ENOMEM;
		}
		key->n = n;
		memcpy(key->bytes, bytes, n);
		cache->keys.items[cache->keys.n++] = key;
	}
	*ret_file = found + 1;
	return 0;
}

static void forget_given(struct generation *g)
{
	for (size_t i = 0; i < g->functions.n; i++)
		g->functions.items[i].given = 0;
}

void cache_begin(struct cache *cache, struct pprof *p)
{
	cache->profile = p;
	forget_given(&cache->young);
	forget_given(&cache->old);
	if (cache->keys.n <= CACHE_MAX_FILES)
		return;
	cache->counts.dropped += cache->young.answers.n + cache->old.answers.n;
	generation_done(&cache->young);
	generation_done(&cache->old);
	keys_done(cache);
	/* Without it nothing is kept, until the next job. */
	string_table_init(&cache->young.strings);
}

/* ---- answers */

struct place {
	uint64_t address;
	uint64_t file; /* as wide as that, so that there is no padding */
};

static bool answer_equal(const void *table, uint32_t record, const void *key)
{
	const struct answer *a = &((const struct generation *)table)->answers.items[record];
	const struct place *place = key;

	return a->address == place->address && a->file == place->file;
}

static uint32_t find_answer(const struct generation *g, uint32_t file, uint64_t address)
{
	const struct place place = {address, file};

	return hash_index_find(&g->answer_index, hash_index_bytes(&place, sizeof(place)),
			       answer_equal, g, &place);
}

static bool function_equal(const void *table, uint32_t record, const void *key)
{
	const struct function *f = &((const struct generation *)table)->functions.items[record];
	const struct function *wanted = key;

	return f->name == wanted->name && f->system_name == wanted->system_name &&
	       f->file == wanted->file && f->start_line == wanted->start_line;
}

static int keep_string(struct generation *g, const char *string, uint32_t *ret)
{
	size_t before = g->strings.strings.n;
	int r = string_table_intern(&g->strings, string, ret);

	if (g->strings.strings.n > before)
		g->bytes += strlen(string) + 1 + sizeof(char *) + 2 * sizeof(struct hash_slot);
	return r;
}

static int keep_function(struct generation *g, const struct pprof_line *line, uint32_t *ret)
{
	struct function f = {.start_line = line->start_line};
	uint32_t found;
	uint64_t hash;

	if (keep_string(g, line->name, &f.name) < 0 ||
	    keep_string(g, line->system_name, &f.system_name) < 0 ||
	    keep_string(g, line->file, &f.file) < 0)
		return -ENOMEM;
	hash = hash_index_bytes(&f, sizeof(f));
	found = hash_index_find(&g->function_index, hash, function_equal, g, &f);
	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)g->functions.n;
		if (array_grow(&g->functions, 1) < 0 ||
		    hash_index_add(&g->function_index, hash, found) < 0)
			return -ENOMEM;
		g->functions.items[g->functions.n++] = f;
		g->bytes += sizeof(f) + 2 * sizeof(struct hash_slot);
	}
	*ret = found;
	return 0;
}

static int keep_answer(struct generation *g, uint32_t file, uint64_t address,
		       const struct pprof_line *lines, size_t n, uint64_t vaddr)
{
	const struct place place = {address, file};
	struct answer a = {
		.address = address,
		.at = n > 0 ? g->lines.n : vaddr,
		.file = file,
		.n_lines = (uint32_t)n,
	};

	if (array_grow(&g->lines, n) < 0 || array_grow(&g->answers, 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct pprof_line_function *line = &g->lines.items[g->lines.n + i];

		line->line = lines[i].line;
		if (keep_function(g, &lines[i], &line->function) < 0)
			return -ENOMEM;
	}
	if (hash_index_add(&g->answer_index, hash_index_bytes(&place, sizeof(place)),
			   (uint32_t)g->answers.n) < 0)
		return -ENOMEM;
	g->lines.n += n;
	g->answers.items[g->answers.n++] = a;
	g->bytes += sizeof(a) + 2 * sizeof(struct hash_slot) + n * sizeof(*g->lines.items);
	return 0;
}

static void make_room(struct cache *cache)
{
	struct generation young = {};

	if (cache->young.bytes < cache->max_bytes / 2 || string_table_init(&young.strings) < 0)
		return;
	cache->counts.dropped += cache->old.answers.n;
	generation_done(&cache->old);
	cache->old = cache->young;
	cache->young = young;
}

void cache_add(struct cache *cache, uint32_t file, uint64_t address, const struct pprof_line *lines,
	       size_t n, uint64_t vaddr)
{
	if (n > SYMBOL_MAX_LINES || !cache->young.strings.strings.n)
		return;
	make_room(cache);
	if (find_answer(&cache->young, file, address) == HASH_INDEX_NONE)
		keep_answer(&cache->young, file, address, lines, n, vaddr);
}

/* ---- giving them */

static struct pprof_line get_line(const struct generation *g,
				  const struct pprof_line_function *line)
{
	const struct function *f = &g->functions.items[line->function];

	return (struct pprof_line){
		.name = string_table_get(&g->strings, f->name),
		.system_name = string_table_get(&g->strings, f->system_name),
		.file = string_table_get(&g->strings, f->file),
		.start_line = f->start_line,
		.line = line->line,
	};
}

/* An answer of the old generation is one of the young from now on. The old one has
 * to be there still while it is copied: only adding makes room. */
static uint32_t make_young(struct cache *cache, uint32_t record)
{
	const struct answer *a = &cache->old.answers.items[record];
	struct pprof_line lines[SYMBOL_MAX_LINES];

	for (size_t i = 0; i < a->n_lines; i++)
		lines[i] = get_line(&cache->old, &cache->old.lines.items[a->at + i]);
	if (keep_answer(&cache->young, a->file, a->address, lines, a->n_lines, a->at) < 0)
		return HASH_INDEX_NONE;
	return (uint32_t)cache->young.answers.n - 1;
}

static int give_lines(struct cache *cache, const struct answer *a, uint64_t id)
{
	struct generation *g = &cache->young;
	struct pprof_line_function lines[SYMBOL_MAX_LINES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n_lines; i++) {
		const struct pprof_line_function *line = &g->lines.items[a->at + i];
		struct function *f = &g->functions.items[line->function];
		struct pprof_line whole;

		if (!f->given) {
			whole = get_line(g, line);
			r = pprof_add_function(cache->profile, &whole, &f->given);
		}
		lines[i] = (struct pprof_line_function){f->given, line->line};
	}
	return r < 0 ? r : pprof_set_line_functions(cache->profile, id, lines, a->n_lines);
}

int cache_answer(struct cache *cache, uint32_t file, uint64_t address, uint64_t id,
		 struct cache_answer *ret_answer)
{
	uint32_t record = find_answer(&cache->young, file, address);
	const struct answer *a;
	int r = 0;

	if (record == HASH_INDEX_NONE) {
		make_room(cache);
		record = find_answer(&cache->old, file, address);
		if (record != HASH_INDEX_NONE)
			record = make_young(cache, record);
	}
	if (record == HASH_INDEX_NONE) {
		cache->counts.misses++;
		return -ENOENT;
	}
	cache->counts.hits++;
	a = &cache->young.answers.items[record];
	if (a->n_lines > 0)
		r = give_lines(cache, a, id);
	if (r < 0)
		return r;
	*ret_answer = (struct cache_answer){.named = a->n_lines > 0, .vaddr = a->at};
	return 0;
}
