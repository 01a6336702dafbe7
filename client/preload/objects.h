/*
 * Which loaded object holds an address: asked of the C library without a lock
 * (_dl_find_object, glibc >= 2.35), or looked up in a list that the service
 * thread keeps where the C library has no such answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OBJECTS_REFRESH_MS 1000

struct object {
	uint64_t start, end;  /* of its mapping */
	uint64_t bias;	      /* run-time address minus ELF address */
	uint64_t eh_hdr;      /* run-time address of .eh_frame_hdr; 0: none */
	const char *path;     /* the loader's; "" for the main program */
	const void *identity; /* differs between objects loaded at the same time */
};

/* Before the first sample. */
void objects_init(void);

/* True if objects_refresh() has to be called every OBJECTS_REFRESH_MS. */
bool objects_need_refresh(void);
void objects_refresh(void); /* takes the loader's lock: never while sampling */

/* Lock-free. False: the address is in no object that is known. */
bool objects_find(uint64_t pc, struct object *ret_object);
