/*
 * The symbol table of an ELF file: names of functions that have no debug
 * information, and the linker's names of those that have.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <libelf.h>

struct symtab;

struct symtab_entry {
	uint64_t start, end;
	const char *name; /* in the file: as long as the Elf */
};

/* Reads .symtab or, where there is none, .dynsym. A file without either gives
 * an empty table. Returns 0 or -ENOMEM. */
int symtab_new(Elf *elf, struct symtab **ret_symtab);
void symtab_free(struct symtab *symtab);

size_t symtab_count(const struct symtab *symtab);

/* The function that holds @vaddr; NULL: none. */
const struct symtab_entry *symtab_find(const struct symtab *symtab, uint64_t vaddr);
/* The function that begins at @vaddr; NULL: none. */
const struct symtab_entry *symtab_find_start(const struct symtab *symtab, uint64_t vaddr);
