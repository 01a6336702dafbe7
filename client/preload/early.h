/*
 * The next allocator, and memory before there is one.
 *
 * Looking functions up allocates, and some callers come before that: the
 * loader, IFUNC resolvers, the lookup itself. They are served from a small
 * arena of ours that never takes anything back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True: fast_next is filled. Looks the functions up if nobody is at it. False:
 * use the arena. */
bool early_next_is_ready(void);

/* Zeroed memory out of the arena, or NULL. Needs no relocation of this library. */
void *early_alloc(size_t size, size_t alignment);

/* True if @p is the arena's; *ret_bytes are its size. Asked on slow paths only:
 * the filter sends every pointer of the arena there. */
bool early_owns(const void *p, size_t *ret_bytes);
