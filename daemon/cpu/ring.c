/*
 * The kernel writes records and moves data_head; we read them and move
 * data_tail. Both count bytes and never wrap; their low bits are the place in
 * the buffer. Between the two, nothing is written over.
 *
 * Ordering: data_head is loaded with acquire, so that the records it promises
 * are visible; data_tail is stored with release, so that our reads are over
 * before the kernel may write there again.
 *
 * Records and the buffer are multiples of eight bytes, so a record's header and
 * each of its words lie in one piece even when the record does not.
 */
#include "daemon/cpu/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/base.h"

size_t ring_fair_bytes(size_t most, size_t all, size_t least, long n_cpus)
{
	while (most > least && most * (size_t)max(n_cpus, 1L) > all)
		most /= 2;
	return most;
}

int ring_map(struct perf_ring *ring, int fd, size_t data_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	p = mmap(NULL, page + data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ring = (struct perf_ring){
		.control = p,
		.data = (const uint8_t *)p + page,
		.data_bytes = data_bytes,
	};
	return 0;
}

void ring_unmap(struct perf_ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (ring->control)
		munmap(ring->control, page + ring->data_bytes);
	*ring = (struct perf_ring){0};
}

void ring_refresh(struct perf_ring *ring)
{
	ring->head = __atomic_load_n(&ring->control->data_head, __ATOMIC_ACQUIRE);
}

static const uint8_t *at_tail(const struct perf_ring *ring, size_t offset)
{
	return ring->data + ((ring->tail + offset) & (ring->data_bytes - 1));
}

int ring_next(const struct perf_ring *ring)
{
	uint64_t available = ring->head - ring->tail;
	struct perf_event_header header;

	if (available == 0)
		return 0;
	if (available > ring->data_bytes || available < sizeof(header))
		return -EBADMSG;
	memcpy(&header, at_tail(ring, 0), sizeof(header));
	if (header.size < sizeof(header) || header.size % 8 != 0 || header.size > available)
		return -EBADMSG;
	return header.size;
}

uint64_t ring_load(const struct perf_ring *ring, size_t offset)
{
	uint64_t value;

	memcpy(&value, at_tail(ring, offset), sizeof(value));
	return value;
}

const uint8_t *ring_read(const struct perf_ring *ring, size_t bytes, uint8_t *scratch)
{
	const uint8_t *start = at_tail(ring, 0);
	size_t first = ring->data_bytes - (size_t)(start - ring->data);

	if (bytes <= first)
		return start;
	memcpy(scratch, start, first);
	memcpy(scratch + first, ring->data, bytes - first);
	return scratch;
}

void ring_advance(struct perf_ring *ring, size_t bytes)
{
	ring->tail += bytes;
	__atomic_store_n(&ring->control->data_tail, ring->tail, __ATOMIC_RELEASE);
}

void ring_skip_all(struct perf_ring *ring)
{
	ring_advance(ring, ring->head - ring->tail);
}

int ring_look_ahead(struct perf_ring *ring,
		    size_t (*time_offset)(const struct perf_event_header *header),
		    uint64_t *ret_time_ns)
{
	struct perf_event_header header;
	int bytes = ring_next(ring);
	size_t offset;

	if (bytes < 0)
		ring_skip_all(ring);
	if (bytes <= 0)
		return bytes;
	memcpy(&header, at_tail(ring, 0), sizeof(header));
	offset = time_offset(&header);
	*ret_time_ns = offset ? ring_load(ring, offset) : 0;
	return bytes;
}
