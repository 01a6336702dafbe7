/*
 * Reading another process's memory without ever waiting for it. Memory may be
 * served by a process of user space (FUSE, userfaultfd), and then takes as long
 * to read as that one likes; so a child reads, and is given up when it takes too
 * long.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "profd/base.h"

#define PEEK_BYTES 16384

struct peek;

int peek_new(struct peek **ret_peek); /* 0 or -errno */
void peek_free(struct peek *p);
void peek_rest(struct peek *p); /* no child until the next call */

/* Reads up to @bytes (at most PEEK_BYTES) at @address of @pid. Returns their number,
 * up to the first that cannot be read, or -errno; -ETIMEDOUT: it took too long; then
 * nobody is read from for PEEK_REST_NS, and this process not soon again: -EBUSY.
 * *ret_bytes holds until the next call. */
#define PEEK_REST_NS (1 * NSEC_PER_SEC)
ssize_t peek_read(struct peek *p, pid_t pid, uint64_t address, size_t bytes,
		  const uint8_t **ret_bytes);
