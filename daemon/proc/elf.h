/*
 * What the daemon itself needs to know of an ELF file: where its code lies, its
 * build-id, and where its unwind information is. (Symbols are the scribe's.)
 */
#pragma once

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

/* Reads exactly @bytes at @offset. -EBADMSG when the file ends before that. */
int elf_read_at(int fd, uint64_t offset, void *ret, size_t bytes);
