/*
 * The frames in use are sorted by module, the main program's first, then files,
 * the kernel, code without a file, and the rest. Then each module's frames are
 * given their places:
 *
 * - A file's code lies in places: where the profile's one process had it, or
 *   else where it was first seen, or else where its program headers put it. A
 *   place in use becomes a mapping.
 * - Frames without a place (the kernel's, generated code) are run-time
 *   addresses already. Mappings are laid around them: one for the kernel; for
 *   generated code one for each stretch that no file interrupts.
 * - A frame that is no code (a note) is a location with a name and no mapping.
 *
 * In every mapping address - start + file_offset is the frame's own offset,
 * which is what the scribe looks up; mappings around run-time addresses have
 * file_offset = start for that reason, moved or not.
 */
#include "daemon/profile/locate.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/profile/layout.h"
#include "daemon/profile/pieces.h"

#define KERNEL_PATH	  "[kernel.kallsyms]"
#define ANON_PATH	  "//anon" /* perf's name for it */
#define STRETCH_GAP_BYTES (16ULL << 20)
#define STRETCHES_MAX	  64 /* of one module; frames beyond stay without a mapping */

enum rank { RANK_MAIN, RANK_FILE, RANK_KERNEL, RANK_JIT, RANK_NOTE, RANK_NONE };

struct item { /* a frame in use */
	uint64_t offset;
	uint32_t module;
	uint32_t frame; /* index in how->frames */
	enum rank rank;
};

struct locator {
	const struct locate *how;
	struct pprof *profile;
	uint64_t *locations;
	struct layout layout;
	ARRAY_TABLE(struct item) items;
	struct pieces pieces;	       /* of the module at hand */
	ARRAY_TABLE(uint32_t) modules; /* of mapping i+1 */
};

static void locator_done(struct locator *l)
{
	layout_done(&l->layout);
	free(l->items.items);
	pieces_done(&l->pieces);
	free(l->modules.items);
}

/* ---- the frames in use */

/* A file may have been known by two ids until it was opened. */
static const struct module *find_module(const struct locate *how, uint32_t id)
{
	const struct module *m = module_by_id(how->modules, id);

	return m && m->alias_of ? m->alias_of : m;
}

static enum rank module_rank(const struct locate *how, const struct module *m)
{
	if (!m)
		return RANK_NONE;
	switch (m->kind) {
	case MODULE_FILE:
	case MODULE_VDSO:
		return m == find_module(how, how->main_module) ? RANK_MAIN : RANK_FILE;
	case MODULE_KERNEL:
		return RANK_KERNEL;
	case MODULE_JIT:
		return RANK_JIT;
	case MODULE_NOTE:
		return RANK_NOTE;
	}
	return RANK_NONE;
}

static int item_order(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->module != b->module)
		return a->module < b->module ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int collect(struct locator *l)
{
	const struct locate *how = l->how;

	for (size_t i = 0; i < how->n_frames; i++) {
		const struct frame *f = &how->frames[i];
		const struct module *m;
		struct item *item;

		if (!how->used[i])
			continue;
		m = find_module(how, f->module);
		item = array_add(&l->items);
		if (!item)
			return -ENOMEM;
		*item = (struct item){
			.offset = f->offset,
			.module = m ? m->id : 0,
			.frame = (uint32_t)i,
			.rank = module_rank(how, m),
		};
	}
	if (l->items.n)
		qsort(l->items.items, l->items.n, sizeof(*l->items.items), item_order);
	return 0;
}

/* ---- mappings */

static int add_location(struct locator *l, const struct item *item, uint64_t mapping,
			uint64_t address)
{
	struct pprof_location location = {.mapping = mapping, .address = address};

	return pprof_add_location(l->profile, &location, &l->locations[item->frame]);
}

/* Makes the mapping of @piece, at its own addresses if @wanted. -ENOSPC: there
 * are too many. */
static int make_mapping(struct locator *l, const struct module *m, const char *path, bool wanted,
			struct piece *piece)
{
	const struct module_place *place = &piece->place;
	uint64_t bytes = place->limit - place->start;
	char build_id[2 * MODULE_BUILD_ID_MAX + 1];
	struct pprof_mapping mapping = {.path = path, .build_id = build_id};
	int r;

	r = layout_take(&l->layout, wanted ? place->start : 0, bytes, &piece->base);
	if (r < 0)
		return r;
	module_build_id_hex(m, build_id);
	mapping.start = piece->base;
	mapping.limit = piece->base + bytes;
	mapping.file_offset = place->file_offset;
	if (array_grow(&l->modules, 1) < 0)
		return -ENOMEM;
	l->modules.items[l->modules.n++] = m->id;
	return pprof_add_mapping(l->profile, &mapping, &piece->mapping);
}

/* ---- run-time addresses: mappings are laid around them */

static struct module_place stretch_place(uint64_t first, uint64_t last)
{
	uint64_t start = first & ~(LAYOUT_PAGE_BYTES - 1);
	uint64_t limit = (last | (LAYOUT_PAGE_BYTES - 1)) + 1;

	return (struct module_place){start, limit ? limit : UINT64_MAX, start};
}

/* How many of @items (sorted) can share a mapping with the first. */
static size_t stretch_length(const struct locator *l, const struct item *items, size_t n)
{
	size_t k = 1;

	if (items[0].rank == RANK_KERNEL)
		return n;
	for (; k < n; k++) {
		struct module_place place = stretch_place(items[0].offset, items[k].offset);

		if (items[k].offset - items[k - 1].offset > STRETCH_GAP_BYTES ||
		    !layout_is_free(&l->layout, place.start, place.limit))
			break;
	}
	return k;
}

static int locate_stretches(struct locator *l, const struct module *m, const char *path,
			    const struct item *items, size_t n)
{
	bool run_time = items[0].rank == RANK_KERNEL || items[0].rank == RANK_JIT;
	int r = 0;

	for (size_t i = 0, k, count = 0; r == 0 && i < n; i += k) {
		struct piece piece = {0};

		k = stretch_length(l, &items[i], n - i);
		piece.place = stretch_place(items[i].offset, items[i + k - 1].offset);
		r = count++ < STRETCHES_MAX ? make_mapping(l, m, path, run_time, &piece) : -ENOSPC;
		if (r < 0 && r != -ENOSPC)
			return r;
		r = 0;
		for (size_t j = i; r == 0 && j < i + k; j++)
			r = add_location(l, &items[j], piece.mapping,
					 items[j].offset - piece.place.start +
						 (piece.mapping ? piece.base : piece.place.start));
	}
	return r;
}

/* ---- module by module */

/* Frames that no place holds are moved to the front, and located together. */
static int locate_file(struct locator *l, const struct module *m, struct item *items, size_t n)
{
	size_t n_homeless = 0;
	int r = pieces_collect(&l->pieces, m);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct piece *piece = pieces_find(&l->pieces, items[i].offset);

		if (piece && !piece->mapping) {
			r = make_mapping(l, m, m->path, true, piece);
			if (r < 0 && r != -ENOSPC)
				return r;
			r = 0;
		}
		if (piece && piece->mapping)
			r = add_location(l, &items[i], piece->mapping,
					 piece->base + items[i].offset - piece->place.file_offset);
		else
			items[n_homeless++] = items[i];
	}
	if (r == 0 && n_homeless)
		r = locate_stretches(l, m, m->path, items, n_homeless);
	return r;
}

/* Readers tell locations apart by address. The module's id is one that no code
 * has: Linux maps nothing so low. */
static int locate_note(struct locator *l, const struct module *m, const struct item *item)
{
	const struct pprof_line line = {.name = m->path, .system_name = m->path};
	struct pprof_location location = {.address = m->id, .lines = &line, .n_lines = 1};

	return pprof_add_location(l->profile, &location, &l->locations[item->frame]);
}

static int locate_group(struct locator *l, struct item *items, size_t n)
{
	const struct module *m = module_by_id(l->how->modules, items[0].module);
	int r = 0;

	switch (items[0].rank) {
	case RANK_MAIN:
	case RANK_FILE:
		return locate_file(l, m, items, n);
	case RANK_KERNEL:
		return locate_stretches(l, m, KERNEL_PATH, items, n);
	case RANK_JIT:
		return locate_stretches(l, m, ANON_PATH, items, n);
	case RANK_NOTE:
		for (size_t i = 0; r == 0 && i < n; i++)
			r = locate_note(l, m, &items[i]);
		return r;
	case RANK_NONE:
		for (size_t i = 0; r == 0 && i < n; i++)
			r = add_location(l, &items[i], 0, items[i].offset);
		return r;
	}
	return -EINVAL;
}

/* Readers take the first mapping for the program, used or not. */
static int map_main(struct locator *l)
{
	const struct module *m = find_module(l->how, l->how->main_module);
	int r;

	if (module_rank(l->how, m) != RANK_MAIN)
		return 0;
	if (l->items.n && l->items.items[0].rank == RANK_MAIN)
		return 0;
	r = pieces_collect(&l->pieces, m);
	if (r == 0 && l->pieces.pieces.n)
		r = make_mapping(l, m, m->path, true, &l->pieces.pieces.items[0]);
	return r;
}

static int locate_all(struct locator *l)
{
	int r = collect(l);

	if (r == 0)
		r = map_main(l);
	for (size_t i = 0, n; r == 0 && i < l->items.n; i += n) {
		struct item *items = &l->items.items[i];

		for (n = 1; i + n < l->items.n; n++)
			if (items[n].rank != items[0].rank || items[n].module != items[0].module)
				break;
		r = locate_group(l, items, n);
	}
	return r;
}

int locate_frames(const struct locate *how, struct pprof *p, uint64_t *ret_locations,
		  uint32_t **ret_modules, size_t *ret_n_modules)
{
	_cleanup_(locator_done) struct locator l = {
		.how = how,
		.profile = p,
		.locations = ret_locations,
	};
	int r = pieces_init(&l.pieces, how->modules, how->places, how->places ? how->n_places : 0);

	if (r == 0)
		r = locate_all(&l);
	if (r < 0)
		return r;
	*ret_n_modules = l.modules.n;
	*ret_modules = take_ptr(l.modules.items);
	return 0;
}
