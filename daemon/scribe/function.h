/*
 * Reading one function's entry in DWARF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdw.h>

#include "daemon/scribe/symbol.h"
#include "daemon/scribe/symtab.h"

/* The function and what is inlined in it at @vaddr, outermost first. Too many:
 * the outermost are left out, for the innermost are where the time is spent.
 * Returns their number, at least 1. */
size_t function_chain(Dwarf_Die *function, uint64_t vaddr, Dwarf_Die chain[SYMBOL_MAX_LINES]);

/*
 * The name as the linker knows it, else as the source has it. NULL: none. What is not
 * mangled is an alias of C's, and of those the one that a person would use is taken.
 * Compilers leave the linkage name of a function that is private to its unit to
 * the symbol table. For C the source's name is the better one: there the symbol
 * differs by suffixes of the optimizer's. Of the labels of assembly the table knows
 * which one a person would use, too.
 */
const char *function_name(Dwarf_Die *die, const struct symtab *symtab);

/* What the numbers of files in a unit's entries mean. */
struct function_files {
	Dwarf_Files *table; /* NULL: not known */
	size_t n;
	bool only; /* no entry is of another unit: in a split one */
};

/* The line it is declared at, if that is in @file, else 0: a line of another file
 * would mislead a reader that has one file a function. */
int64_t function_start_line(Dwarf_Die *die, const struct function_files *files, const char *file);

/* Where an inlined function was called. *ret_file NULL: not known. */
void function_call_site(Dwarf_Die *die, const struct function_files *files, const char **ret_file,
			int64_t *ret_line);
