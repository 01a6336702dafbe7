/*
 * Arrays that grow: an item pointer, a count and the room there is. The room
 * doubles, so that adding n items costs O(n) in all.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_TABLE(type)                                                                          \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t n, room;                                                                    \
	}

/* Makes room for @extra more items. 0 or -ENOMEM. */
#define array_grow(table, extra)                                                                   \
	array_grow_bytes((void **)&(table)->items, &(table)->room, (table)->n, (extra),            \
			 sizeof(*(table)->items))

/* Makes room for one more item and gives a pointer to it, zeroed; NULL: no memory. */
#define array_add(table)                                                                           \
	(array_grow((table), 1) < 0                                                                \
		 ? NULL                                                                            \
		 : ((table)->items[(table)->n] = (__typeof__(*(table)->items)){0},                 \
		    &(table)->items[(table)->n++]))

static inline int array_grow_bytes(void **items, size_t *room, size_t n, size_t extra,
				   size_t item_bytes)
{
	size_t wanted, larger;
	void *grown;

	if (extra <= *room - n)
		return 0;
	if (__builtin_add_overflow(n, extra, &wanted))
		return -ENOMEM;
	larger = *room < 8 ? 8 : *room + *room / 2;
	if (larger < wanted)
		larger = wanted;
	grown = reallocarray(*items, larger, item_bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = larger;
	return 0;
}
