/*
 * One ELF file that somebody had mapped: file offsets to addresses, addresses
 * to functions and lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/scribe/symbol.h"

struct image;

/* @fd stays the caller's and must stay open as long as the image. Returns 0;
 * -EBADMSG: no ELF file; -ENOMEM. */
int image_open(int fd, struct image **ret_image);
void image_close(struct image *image);

/* Gives back the pages of the file that were read so far; what is needed again
 * comes back by itself. */
void image_release_pages(struct image *image);

/* False: in no segment that is loaded. */
bool image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr);

/* Fills @symbol (empty before), whose strings live as long as the image.
 * @lines: look in the debug information too, which costs more. Returns 0;
 * -ENOENT: no name is known. */
int image_find(struct image *image, uint64_t vaddr, bool lines, struct symbol *symbol);
