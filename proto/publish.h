/*
 * Files that appear whole or not at all: an unnamed file (O_TMPFILE) in the
 * target directory, fsync, link under the final name without replacing, fsync
 * of the directory. A crash at any moment leaves no file under a final name
 * that is not complete.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens an unnamed file in @dir_fd for writing. Returns the descriptor or -errno. */
int publish_open(int dir_fd, mode_t mode);

/* Gives @fd the name @name in @dir_fd, durably. -EEXIST: the name is taken and
 * nothing was replaced. Returns 0 or -errno. */
int publish_link(int dir_fd, int fd, const char *name);

/* As publish_link(); if the name is taken, the stamp before its ".pb.gz" or ".json.gz" moves
 * on by a millisecond, up to PUBLISH_TRIES times, and @name says what it became.
 * -EEXIST: all were taken, or the name has no stamp; @name is as it was. */
#define PUBLISH_TRIES 1000
int publish_link_next(int dir_fd, int fd, char *name);

/* "20261121T031244.123Z" for @unix_ns. @size >= PUBLISH_STAMP_BYTES. */
#define PUBLISH_STAMP_BYTES 24
void publish_stamp(int64_t unix_ns, char *ret, size_t size);

/* Makes @comm fit for a file name: anything but [A-Za-z0-9._-], and a leading
 * dot, become '_'; an empty one becomes "_". @size >= 1. */
void publish_clean(const char *comm, char *ret, size_t size);
