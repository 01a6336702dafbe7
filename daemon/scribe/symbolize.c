/*
 * Locations are taken mapping by mapping, so that whoever watches knows which
 * module is being parsed, and so that one module at a time is in use.
 *
 * Location addresses are run-time ones, or made to look like them. What is
 * stable is address - start + offset of the mapping: the offset in the file, or
 * for the kernel the true address. That is what a module is asked for and what
 * answers are kept under. All addresses lie in the instruction that is meant:
 * return addresses were moved back into their call where they were collected.
 */
#include "daemon/scribe/symbolize.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

struct place { /* the mapping at hand */
	uint64_t start, file_offset;
	char *file;   /* last part of its path; "": none */
	bool is_file; /* false: a name for code that is in no file */
	uint32_t module;
	uint32_t cached_as;    /* the cache's number for the file; 0: not kept */
	struct source *source; /* NULL: none */
	bool announced;
};

static int place_init(struct place *place, const struct pprof *p, const struct symbolize *how,
		      uint64_t mapping)
{
	struct pprof_mapping m;
	struct file_key key;
	const char *slash;

	pprof_mapping(p, mapping, &m);
	*place = (struct place){.start = m.start, .file_offset = m.file_offset};
	/* Not "[vdso]", "[kernel.kallsyms]", "//anon". */
	place->is_file = m.path[0] == '/' && m.path[1] != '/';
	slash = strrchr(m.path, '/');
	/* A copy, for the profile's strings move as names are added. */
	place->file = strdup(place->is_file ? slash + 1 : m.path);
	if (!place->file)
		return -ENOMEM;
	if (mapping <= how->n_modules)
		place->module = how->modules[mapping - 1];
	if (place->module != 0)
		place->source = source_find(how->sources, place->module);
	if (place->source && how->file_of(place->module, &key, how->userdata))
		return cache_file(how->cache, key.bytes, key.n, &place->cached_as);
	return 0;
}

static void place_done(struct place *place)
{
	free(place->file);
}

static uint64_t place_offset(const struct place *place, uint64_t address)
{
	return address - place->start + place->file_offset;
}

static int set_one_line(struct pprof *p, uint64_t id, const char *name)
{
	struct pprof_line line = {.name = name, .system_name = name, .file = ""};

	return pprof_set_lines(p, id, &line, 1);
}

/* What to show when there is no name. Addresses in a file are told apart; of
 * generated code, or of a kernel that hides its symbols, one name for all says
 * as much and sums up better. */
static int set_makeshift(struct pprof *p, uint64_t id, const struct place *place, uint64_t vaddr)
{
	_cleanup_free_ char *name = NULL;

	if (!place->is_file)
		return set_one_line(p, id, place->file);
	if (asprintf(&name, "%s+0x%" PRIx64, place->file, vaddr) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	return set_one_line(p, id, name);
}

/* What set_makeshift() made, here or in an earlier life of the profile. */
static bool is_makeshift(const struct place *place, const char *name)
{
	size_t n = strlen(place->file);

	return place->is_file && strncmp(name, place->file, n) == 0 &&
	       strncmp(name + n, "+0x", 3) == 0 &&
	       name[n + 3 + strspn(name + n + 3, "0123456789abcdef")] == '\0';
}

/* Asks the module. @kept: the location has a name, which stays if there is no other. */
static int set_found(struct pprof *p, uint64_t id, struct place *place, uint64_t offset,
		     const struct symbolize *how, bool kept, bool *ret_named)
{
	_cleanup_(symbol_done) struct symbol symbol = {};
	bool lines = clock_mono_ns() < how->deadline_mono_ns;
	uint64_t vaddr;
	int r;

	if (!place->announced && how->reading)
		how->reading(place->module, how->userdata);
	place->announced = true;
	r = source_name(how->sources, place->source, offset, lines, &symbol, &vaddr);
	/* A module that has no name for an address will have none next time, if it was read
	 * as a whole. */
	if (lines && place->cached_as && (r == 0 || r == -ENOENT) && source_is_whole(place->source))
		cache_add(how->cache, place->cached_as, offset, symbol.lines, symbol.n, vaddr);
	if (r < 0)
		return kept ? 0 : set_makeshift(p, id, place, vaddr);
	*ret_named = true;
	return pprof_set_lines(p, id, symbol.lines, symbol.n);
}

/* What a location is called so far. */
enum names {
	NAMES_NONE,
	NAMES_MAKESHIFT,
	NAMES_BARE, /* a symbol table's: debug information may say more */
	NAMES_FULL,
};

static enum names look_at_names(const struct pprof *p, uint64_t id, const struct place *place,
				size_t n_lines)
{
	struct pprof_line line;

	if (n_lines == 0)
		return NAMES_NONE;
	pprof_location_line(p, id, 0, &line);
	if (n_lines > 1 || line.file[0] != '\0' || line.line != 0)
		return NAMES_FULL;
	return is_makeshift(place, line.name) ? NAMES_MAKESHIFT : NAMES_BARE;
}

static int name_location(struct pprof *p, uint64_t id, struct place *place,
			 const struct symbolize *how, bool *ret_named)
{
	struct pprof_location location;
	struct cache_answer answer;
	enum names names;
	uint64_t offset;
	bool kept;
	int r;

	pprof_location(p, id, &location);
	names = look_at_names(p, id, place, location.n_lines);
	*ret_named = names == NAMES_BARE || names == NAMES_FULL;
	if (names == NAMES_FULL || (names != NAMES_NONE && !place->source))
		return 0;
	offset = place_offset(place, location.address);
	if (!place->source)
		return set_makeshift(p, id, place, offset);
	kept = names != NAMES_NONE;
	if (!place->cached_as)
		return set_found(p, id, place, offset, how, kept, ret_named);
	r = cache_answer(how->cache, place->cached_as, offset, id, &answer);
	if (r == -ENOENT)
		return set_found(p, id, place, offset, how, kept, ret_named);
	if (r < 0 || (kept && !answer.named))
		return r;
	*ret_named = answer.named;
	return answer.named ? 0 : set_makeshift(p, id, place, answer.vaddr);
}

static int name_mapping(struct pprof *p, uint64_t mapping, const uint64_t *ids, size_t n_ids,
			const struct symbolize *how, uint32_t *named)
{
	_cleanup_(place_done) struct place place = {};
	int r;

	r = place_init(&place, p, how, mapping);
	if (r < 0 || place.file[0] == '\0')
		return r;
	for (size_t i = 0; i < n_ids; i++) {
		bool known = false;

		r = name_location(p, ids[i], &place, how, &known);
		if (r < 0)
			return r;
		*named += known;
	}
	return pprof_set_symbolized(p, mapping);
}

static int name_homeless(struct pprof *p, uint64_t id, uint32_t *named)
{
	struct pprof_location location;

	pprof_location(p, id, &location);
	if (location.n_lines == 0)
		return set_one_line(p, id, "[unknown]");
	++*named;
	return 0;
}

/* Location ids by mapping: those of mapping m are ids[first[m]..first[m+1]-1]. */
static int sort_locations(const struct pprof *p, uint64_t **ret_ids, size_t **ret_first)
{
	size_t n_mappings = pprof_n_mappings(p), n = pprof_n_locations(p);
	_cleanup_free_ uint64_t *ids = calloc(n + 1, sizeof(*ids));
	_cleanup_free_ size_t *first = calloc(n_mappings + 3, sizeof(*first));
	struct pprof_location location;

	if (!ids || !first)
		return -ENOMEM;
	for (uint64_t id = 1; id <= n; id++) {
		pprof_location(p, id, &location);
		first[location.mapping + 2]++;
	}
	for (size_t m = 2; m < n_mappings + 3; m++)
		first[m] += first[m - 1];
	/* Filling moves each start to its end, which is the next one's start. */
	for (uint64_t id = 1; id <= n; id++) {
		pprof_location(p, id, &location);
		ids[first[location.mapping + 1]++] = id;
	}
	*ret_ids = take_ptr(ids);
	*ret_first = take_ptr(first);
	return 0;
}

int symbolize_profile(struct pprof *p, const struct symbolize *how,
		      struct symbolize_result *ret_result)
{
	struct symbolize_result result = {.locations = (uint32_t)pprof_n_locations(p)};
	_cleanup_free_ uint64_t *ids = NULL;
	_cleanup_free_ size_t *first = NULL;
	struct cache_counts before, after;
	int r;

	r = sort_locations(p, &ids, &first);
	if (r < 0)
		return r;
	cache_count(how->cache, &before);
	cache_begin(how->cache, p);
	/* Those without a mapping have no one to ask. */
	for (size_t i = 0; i < first[1]; i++) {
		r = name_homeless(p, ids[i], &result.named);
		if (r < 0)
			return r;
	}
	for (uint64_t m = 1; m <= pprof_n_mappings(p); m++) {
		r = name_mapping(p, m, ids + first[m], first[m + 1] - first[m], how, &result.named);
		if (r < 0)
			return r;
	}
	cache_count(how->cache, &after);
	result.cached = (uint32_t)(after.hits - before.hits);
	*ret_result = result;
	return 0;
}
