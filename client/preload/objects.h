/*
 * Which loaded object holds an address: asked of the C library without a lock
 * (_dl_find_object, glibc >= 2.35), or looked up in a list that the service
 * thread keeps where the C library has no such answer.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#define OBJECTS_REFRESH_MS 1000

struct object {
	uint64_t start, end;  /* a mapping that holds the address: all of it, or a segment */
	uint64_t bias;	      /* run-time address minus ELF address */
	uint64_t eh_hdr;      /* run-time address of .eh_frame_hdr; 0: none */
	const char *path;     /* the loader's; "" for the main program */
	const void *identity; /* differs between objects loaded at the same time */

	/* The program headers, which the kernel tells of the main program. NULL:
	 * they follow the ELF header, and that is at start. */
	const Elf64_Phdr *headers;
	unsigned n_headers;
};

/* Before the first sample. */
void objects_init(void);

/* True if objects_refresh() has to be called every OBJECTS_REFRESH_MS. */
bool objects_need_refresh(void);
void objects_refresh(void); /* takes the loader's lock: never while sampling */

/* True if anything is loaded beside the program, the loader, the C library, which
 * @c_library is an address of, and ourselves. Takes the loader's lock. */
bool objects_are_more(uint64_t c_library);

/* Lock-free. False: the address is in no object that is known. */
bool objects_find(uint64_t pc, struct object *ret_object);
