/*
 * Whether a program has an allocator of its own inside, which the heap client
 * cannot see: names that are looked up come from the program first, and only then
 * from what is preloaded, so its own malloc is the one that everybody calls. Told
 * by the names that its file defines; a stripped one shows only what it exports.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

struct allocators; /* what was found in the files that were looked at lately */

int allocators_new(struct allocators **ret_allocators);
void allocators_free(struct allocators *allocators);

/* Reading takes time, and the files are not ours: between two calls of this, at
 * most PROFD_MAX_SYMBOL_BYTES_ROUND are read, and the rest goes unexamined. */
void allocators_begin(struct allocators *allocators);

/* What of @pid's heap is not seen, as the end of a sentence about the program:
 * "has jemalloc built in: ...". NULL: nothing is known of any such. */
const char *allocators_find(struct allocators *allocators, struct keeper *keeper, pid_t pid);

/* Files that were too large, or too many. */
uint64_t allocators_unexamined(const struct allocators *allocators);

/* ---- the part, to be shown any file */

/* *ret NULL: none. *budget goes down by what is read. Returns 0; -EFBIG: it would
 * take more than the budget; -EBADMSG: no ELF file, or one that contradicts itself. */
int allocator_find(int fd, size_t *budget_bytes, const char **ret);
