/*
 * One ELF file that somebody had mapped: file offsets to addresses, addresses
 * to functions and lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/scribe/splits.h"
#include "daemon/scribe/symbol.h"

struct image;

struct image_debug {  /* what else there is of the file */
	int debug_fd; /* its debug file; -1: none */
	int alt_fd;   /* what dwz moved out of either; -1: none */
	bool check_crc;
	uint32_t crc; /* that the debug file has to have, if @check_crc */
	bool only;    /* the file itself is a debug file, without the program's headers */
	uint64_t vaddr_minus_offset; /* what they said, if @only */
};

#define IMAGE_DEBUG_NONE                                                                           \
	{                                                                                          \
		.debug_fd = -1, .alt_fd = -1                                                       \
	}

/* @fd stays the caller's and must stay open as long as the image. Returns 0;
 * -EBADMSG: no ELF file; or why it could not be looked at (transient.h). */
int image_open(int fd, struct image **ret_image);
void image_close(struct image *image);

/* Before anything is asked. The descriptors stay the caller's and must stay open as
 * long as the image. */
void image_set_debug(struct image *image, const struct image_debug *debug);

/* Likewise: who opens files of split units. Without it, nobody. */
void image_set_opener(struct image *image, const struct splits_opener *opener);

/* Of the files that belong to it: how many were not read, for being another's, no ELF
 * files, or larger than they may be; so far. */
unsigned image_refused(const struct image *image);

/* False: something of it was not read for want of something (transient.h), so that what it
 * answers may not be all. Another image of the same file may have it. */
bool image_is_whole(const struct image *image);

/* Gives back the pages of its files that were read so far; what is needed again
 * comes back by itself. */
void image_release_pages(struct image *image);

/* False: in no segment that is loaded. */
bool image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr);

/* Fills @symbol (empty before), whose strings live as long as the image.
 * @lines: look in the debug information too, which costs more. Returns 0;
 * -ENOENT: no name is known. */
int image_find(struct image *image, uint64_t vaddr, bool lines, struct symbol *symbol);
