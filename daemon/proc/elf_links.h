/*
 * What an ELF file says about where its debug information is: which build it is of,
 * and what its separate files are called.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/module.h"
#include "profd/limits.h"

struct elf_links {
	uint8_t build_id[MODULE_BUILD_ID_MAX];
	size_t build_id_bytes; /* 0: none */
	bool has_dwarf;	       /* debug information of its own */
	bool has_link;
	char link[PROFD_MAX_DEBUG_NAME + 1]; /* .gnu_debuglink; "": too long to be believed */
	uint32_t link_crc;
	bool has_alt;
	char alt[PROFD_MAX_PATH]; /* .gnu_debugaltlink; "": too long to be believed */
	uint8_t alt_build_id[MODULE_BUILD_ID_MAX];
	size_t alt_build_id_bytes;
	unsigned n_code; /* executable segments, and the address of the last of them */
	uint64_t code_vaddr;
};

/* Names are as the file has them: nothing to open. A file without section headers
 * has no links. Returns 0; -EBADMSG: not a 64-bit ELF file; -errno of reading. */
int elf_read_links(int fd, struct elf_links *ret_links);
