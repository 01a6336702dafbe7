/*
 * The symbol table of an ELF file: names of functions that have no debug
 * information, and the linker's names of those that have.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <libelf.h>

#define SYMTAB_MAX_PARTS 3

struct symtab;

struct symtab_entry {
	uint64_t start, end;
	const char *name; /* in the file: as long as the Elf */
};

/* Reads .symtab or, where there is none, .dynsym, of each of @elfs: the parts of one
 * program, which must outlive the table. Files without either give an empty table.
 * Returns 0 or -ENOMEM. */
int symtab_new(Elf *const *elfs, size_t n_elfs, struct symtab **ret_symtab);
void symtab_free(struct symtab *symtab);

size_t symtab_count(const struct symtab *symtab);

/* The function that holds @vaddr; NULL: none. */
const struct symtab_entry *symtab_find(const struct symtab *symtab, uint64_t vaddr);
/* The function that begins at @vaddr; NULL: none. */
const struct symtab_entry *symtab_find_start(const struct symtab *symtab, uint64_t vaddr);
