/*
 * The kernel's own symbols, from the text of /proc/kallsyms.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/scribe/symbol.h"

struct kallsyms;

/* Reads all of @fd. A kernel that hides its addresses (they read as zero) gives
 * an empty table. Returns 0, -EBADMSG, -EFBIG, -ENOMEM or what read() said. */
int kallsyms_new(int fd, struct kallsyms **ret_kallsyms);
void kallsyms_free(struct kallsyms *kallsyms);

size_t kallsyms_count(const struct kallsyms *kallsyms);

/* Fills @symbol: the function's name, and as its file "[module]", or "[kernel]"
 * for what is built in. Returns 0 or -ENOENT. */
int kallsyms_find(const struct kallsyms *kallsyms, uint64_t address, struct symbol *symbol);
