/*
 * What the daemon itself needs to know of an ELF file: where its code lies, its
 * build-id, and where its unwind information is. (Symbols are the scribe's.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/module.h"

struct elf_layout {
	unsigned n_segments;
	struct module_segment segments[MODULE_SEGMENT_MAX];
	uint8_t build_id[MODULE_BUILD_ID_MAX];
	size_t build_id_bytes;
	struct module_range eh_frame_hdr, eh_frame;
	struct module_range go_table; /* .gopclntab */
};

/* Returns 0; -EBADMSG: not a 64-bit ELF file, or one that contradicts itself;
 * -errno of reading. */
int elf_read_layout(int fd, struct elf_layout *ret_layout);

/* The build-id in a run of notes, padded to @align (4 or 8). @ret_build_id:
 * MODULE_BUILD_ID_MAX bytes. False: there is none. */
bool elf_find_build_id(const uint8_t *notes, size_t bytes, size_t align, uint8_t *ret_build_id,
		       size_t *ret_bytes);

/* Reads exactly @bytes at @offset. -EBADMSG when the file ends before that. */
int elf_read_at(int fd, uint64_t offset, void *ret, size_t bytes);
