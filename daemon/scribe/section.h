/*
 * A section of an ELF file by its name.
 */
#pragma once

#include <libelf.h>

/* The first of that name; NULL: none. */
Elf_Scn *section_find(Elf *elf, const char *name);

/* Its contents, as long as the Elf lives. NULL: there is no such section, or it has none, or
 * they are compressed. */
Elf_Data *section_data(Elf *elf, const char *name);

/* The same, inflated if need be: packed_fits() comes first. */
Elf_Data *section_inflate(Elf *elf, const char *name);
