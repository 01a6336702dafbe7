/*
 * Functions and lines out of the table that every Go program carries, stripped or not
 * (proto/pclntab.h). Calls that the compiler inlined are in another table, and are not told.
 */
#pragma once

#include <stdint.h>

#include <libelf.h>

#include "daemon/scribe/symbol.h"

struct go_names;

/* @elf must outlive it. Returns 0; -ENOENT: no such table, or none that can be read;
 * -ENOMEM. */
int go_names_new(Elf *elf, struct go_names **ret_names);
/* The same of a table that is no file's section. @bytes must outlive it. */
int go_names_new_table(const void *bytes, size_t n, struct go_names **ret_names);
void go_names_free(struct go_names *names);

/* Fills @symbol, whose strings live as long as the Elf. Returns 0 or -ENOENT. */
int go_names_find(const struct go_names *names, uint64_t vaddr, struct symbol *symbol);
