/*
 * One perf ring buffer, read in place.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_ring {
	struct perf_event_mmap_page *control; /* NULL: not mapped */
	const uint8_t *data;
	size_t data_bytes;   /* a power of two */
	uint64_t head, tail; /* bytes since the start; data lies in between */
};

#define RING_RECORD_MAX 65536 /* no record is larger: its size is 16 bits */

/* What each of @n_cpus rings may have when all together are to stay within @all: @most
 * (a power of two) or less, but not less than @least. */
size_t ring_fair_bytes(size_t most, size_t all, size_t least, long n_cpus);

/* Maps the ring of the event @fd. @data_bytes is a power of two of pages.
 * Returns 0 or -errno. */
int ring_map(struct perf_ring *ring, int fd, size_t data_bytes);
void ring_unmap(struct perf_ring *ring);

/* Looks how far the kernel has written. What came by then is read below. */
void ring_refresh(struct perf_ring *ring);

/* The size of the record at the tail; 0: there is none; -EBADMSG: it cannot be
 * one, and the rest cannot be told apart either: ring_skip_all(). */
int ring_next(const struct perf_ring *ring);

/* Eight bytes of the record at the tail. @offset is a multiple of 8. */
uint64_t ring_load(const struct perf_ring *ring, size_t offset);

/* ring_next(), and when the record was written: its eight bytes at @time_offset(its
 * header), or 0 if that is 0. Of what cannot be a record nothing is left: -EBADMSG. */
int ring_look_ahead(struct perf_ring *ring,
		    size_t (*time_offset)(const struct perf_event_header *header),
		    uint64_t *ret_time_ns);

/* The record of @bytes at the tail, in place, or, if it runs round the end,
 * copied to @scratch (RING_RECORD_MAX bytes). */
const uint8_t *ring_read(const struct perf_ring *ring, size_t bytes, uint8_t *scratch);

/* Gives @bytes back to the kernel: what was read there is gone. */
void ring_advance(struct perf_ring *ring, size_t bytes);
void ring_skip_all(struct perf_ring *ring);
