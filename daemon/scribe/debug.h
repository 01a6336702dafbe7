/*
 * DWARF of one ELF file: functions, inlines, files and lines at an address.
 *
 * Opens no file: what dwz moved out is handed over, and files of split units are asked
 * for (splits.h). Of a unit whose file is not to be had there are lines, and the symbol
 * table's names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <libelf.h>

#include "daemon/scribe/splits.h"
#include "daemon/scribe/symbol.h"
#include "daemon/scribe/symtab.h"

struct debug;

/* @elf, @alt and @symtab must outlive it. @alt: what dwz moved out of @elf; NULL:
 * none. @text_low: the lowest address of code. @opener: of split units' files. Returns 0;
 * -ENOENT: the file has no DWARF that can be used; -ENOMEM. */
int debug_new(Elf *elf, Elf *alt, const struct symtab *symtab, uint64_t text_low,
	      const struct splits_opener *opener, struct debug **ret_debug);
void debug_free(struct debug *debug);

/* Adds to @symbol what is known about @vaddr. Returns 0; -ENOENT: nothing, and
 * nothing was added. */
int debug_find(struct debug *debug, uint64_t vaddr, struct symbol *symbol);

/* Whether something was not found for want of something (transient.h). */
bool debug_lacks(const struct debug *debug);
/* Of split units' files. */
unsigned debug_refused(const struct debug *debug);
void debug_release_pages(const struct debug *debug);
