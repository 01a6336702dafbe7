/*
 * What is compressed inside an ELF file: debug sections, and the small ELF file in
 * .gnu_debugdata ("minidebuginfo") that keeps the names of a stripped program.
 */
#pragma once

#include <stdbool.h>

#include <libelf.h>

struct packed_debugdata;

/* Whether the file's compressed sections, by their own words, inflate to what fits:
 * PROFD_MAX_UNPACKED_BYTES. Who inflates them holds them to their word. */
bool packed_fits(Elf *elf);

/* Returns 0; -ENOENT: there is none; -EBADMSG: damaged, or no ELF file; -EFBIG: larger
 * than PROFD_MAX_DEBUGDATA_BYTES; -ENOMEM. */
int packed_open_debugdata(Elf *elf, struct packed_debugdata **ret_data);
Elf *packed_debugdata_elf(const struct packed_debugdata *data);
void packed_debugdata_free(struct packed_debugdata *data);
