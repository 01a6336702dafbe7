/*
 * DWARF of one ELF file: functions, inlines, files and lines at an address.
 *
 * Reads what the given files hold. What lives elsewhere (split units, a dwz supplement
 * that was not handed over) is never looked for: it would mean opening a path that
 * the file chose. Of a split unit there are lines, and the symbol table's names.
 */
#pragma once

#include <stdint.h>

#include <libelf.h>

#include "daemon/scribe/symbol.h"
#include "daemon/scribe/symtab.h"

struct debug;

/* @elf, @alt and @symtab must outlive it. @alt: what dwz moved out of @elf; NULL:
 * none. @text_low: the lowest address of code. Returns 0; -ENOENT: the file has no DWARF that can
 * be used; -ENOMEM. */
int debug_new(Elf *elf, Elf *alt, const struct symtab *symtab, uint64_t text_low,
	      struct debug **ret_debug);
void debug_free(struct debug *debug);

/* Adds to @symbol what is known about @vaddr. Returns 0; -ENOENT: nothing, and
 * nothing was added. */
int debug_find(struct debug *debug, uint64_t vaddr, struct symbol *symbol);
