/*
 * gzip, as far as profiles need it: a stream onto a descriptor, and inflating
 * bytes whose size nobody promised.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct gzip_writer;

/* @fd stays the caller's. Returns 0 or -ENOMEM. */
int gzip_writer_new(int fd, struct gzip_writer **ret_writer);
void gzip_writer_free(struct gzip_writer *w);

/* Small pieces are fine. Errors are kept, and told by gzip_writer_finish. */
void gzip_writer_add(struct gzip_writer *w, const void *bytes, size_t n);

/* Ends the stream. Returns 0 or what went wrong first: the errno of write(). */
int gzip_writer_finish(struct gzip_writer *w);

/* Goes on with the checksum that gzip and debuglinks use; from 0 at the beginning. */
uint32_t gzip_crc32(uint32_t crc, const void *bytes, size_t n);

/* Inflates all members of @bytes. Returns 0; -EBADMSG: no gzip, cut short or
 * damaged; -EFBIG: more than @limit_bytes; -ENOMEM. */
int gzip_inflate(const uint8_t *bytes, size_t n, size_t limit_bytes, uint8_t **ret_bytes,
		 size_t *ret_n);
