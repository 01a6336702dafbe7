/*
 * The index of a package of split units (.dwp): which part of each section is whose.
 */
#pragma once

#include <stdint.h>

#include <libelf.h>

enum package_section { /* as the file numbers them, both in DWARF 5 and before it */
		       PACKAGE_INFO = 1,
		       PACKAGE_ABBREV = 3,
		       PACKAGE_LINE = 4,
		       PACKAGE_STR_OFFSETS = 6,
		       PACKAGE_RNGLISTS = 8, /* in DWARF 5; before, it is something else */
		       PACKAGE_N_SECTIONS = 9,
};

struct package_part {
	uint32_t offset, bytes; /* of the section; nothing is checked */
};

struct package_unit {
	unsigned version; /* of the index: 2, or 5 */
	struct package_part parts[PACKAGE_N_SECTIONS];
};

/* @index: .debug_cu_index. Returns 0; -ENOENT: the unit is not in it; -EBADMSG. */
int package_find(const Elf_Data *index, uint64_t unit_id, struct package_unit *ret_unit);
