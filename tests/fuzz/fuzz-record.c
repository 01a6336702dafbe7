/*
 * perf records from any bytes: nothing may be read outside of them, and what a
 * parsed record points to lies within.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/cpu/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(const void *p, size_t bytes, const uint8_t *start, size_t size)
{
	const uint8_t *at = p;

	if (p && (at < start || at > start + size || bytes > (size_t)(start + size - at)))
		abort();
}

static void check_sample(const struct sampler_sample *s, const uint8_t *start, size_t size)
{
	check_within(s->kernel_frames, s->n_kernel_frames * sizeof(uint64_t), start, size);
	check_within(s->regs, s->has_user ? RECORD_REGS_N * sizeof(uint64_t) : 0, start, size);
	check_within(s->stack, s->stack_bytes, start, size);
}

static void check(const struct record *r, const uint8_t *start, size_t size)
{
	switch (r->type) {
	case PERF_RECORD_SAMPLE:
		check_sample(&r->sample, start, size);
		break;
	case PERF_RECORD_MMAP2:
		check_within(r->mmap.key.build_id, r->mmap.key.build_id_bytes, start, size);
		check_within(r->mmap.path, strlen(r->mmap.path) + 1, start, size);
		break;
	case PERF_RECORD_COMM:
		check_within(r->comm.comm, strlen(r->comm.comm) + 1, start, size);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct perf_event_header header;
	struct record r;
	uint8_t *bytes;
	size_t offset;

	if (size < sizeof(header) || size > UINT16_MAX)
		return 0;
	/* An allocation of its own is aligned, and its end is guarded. */
	bytes = malloc(size);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	memcpy(&header, bytes, sizeof(header));
	header.size = (uint16_t)size; /* the ring hands over whole records */
	memcpy(bytes, &header, sizeof(header));
	offset = record_time_offset(&header);
	if (offset != 0)
		check_within(bytes + offset, sizeof(uint64_t), bytes, size);
	/* with and without a period in each sample: a bit of the input chooses */
	if (record_parse(bytes, size, header.misc & 1, &r) == 0)
		check(&r, bytes, size);
	free(bytes);
	return 0;
}
