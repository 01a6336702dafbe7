#include "daemon/profile/pieces.h"

#include <errno.h>
#include <string.h>

static int place_order(const void *left, const void *right)
{
	const struct freeze_place *a = left, *b = right;

	if (a->module != b->module)
		return a->module < b->module ? -1 : 1;
	return a->place.start < b->place.start ? -1 : a->place.start > b->place.start;
}

int pieces_init(struct pieces *p, struct module_table *modules, const struct freeze_place *places,
		size_t n_places)
{
	*p = (struct pieces){0};
	if (!n_places)
		return 0;
	if (array_grow(&p->places, n_places) < 0)
		return -ENOMEM;
	memcpy(p->places.items, places, n_places * sizeof(*places));
	p->places.n = n_places;
	for (size_t i = 0; i < n_places; i++) {
		const struct module *m = module_by_id(modules, places[i].module);

		if (m && m->alias_of)
			p->places.items[i].module = m->alias_of->id;
	}
	qsort(p->places.items, n_places, sizeof(*places), place_order);
	return 0;
}

void pieces_done(struct pieces *p)
{
	free(p->places.items);
	free(p->pieces.items);
	*p = (struct pieces){0};
}

static size_t first_place(const struct pieces *p, uint32_t module)
{
	size_t low = 0, high = p->places.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->places.items[middle].module < module)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int add_piece(struct pieces *p, uint64_t start, uint64_t limit, uint64_t file_offset)
{
	struct piece *piece;

	if (limit <= start)
		return 0;
	piece = array_add(&p->pieces);
	if (!piece)
		return -ENOMEM;
	piece->place = (struct module_place){start, limit, file_offset};
	return 0;
}

int pieces_collect(struct pieces *p, const struct module *m)
{
	int r = 0;

	p->pieces.n = 0;
	for (size_t i = first_place(p, m->id); r == 0 && i < p->places.n; i++) {
		const struct module_place *place = &p->places.items[i].place;

		if (p->places.items[i].module != m->id)
			break;
		r = add_piece(p, place->start, place->limit, place->file_offset);
	}
	for (unsigned i = 0; r == 0 && i < m->n_places; i++)
		r = add_piece(p, m->places[i].start, m->places[i].limit, m->places[i].file_offset);
	for (unsigned i = 0; r == 0 && i < m->n_segments; i++)
		r = add_piece(p, m->segments[i].vaddr, m->segments[i].vaddr + m->segments[i].bytes,
			      m->segments[i].file_offset);
	return r;
}

struct piece *pieces_find(const struct pieces *p, uint64_t offset)
{
	for (size_t i = 0; i < p->pieces.n; i++) {
		const struct module_place *place = &p->pieces.items[i].place;

		if (offset >= place->file_offset &&
		    offset - place->file_offset < place->limit - place->start)
			return &p->pieces.items[i];
	}
	return NULL;
}
