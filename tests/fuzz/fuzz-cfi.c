/*
 * libFuzzer entry: any bytes as the unwind information of a module.
 *
 * The first byte says how the rest is split: the .eh_frame_hdr's length in
 * units of 4 bytes (0: none), then an address to ask for (4 bytes, little
 * endian), then .eh_frame_hdr, then .eh_frame. Each section lies in an allocation
 * of its exact size.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cfi.h"

#define HDR_VADDR      0x1000
#define EH_FRAME_VADDR 0x2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	return copy;
}

static void ask(const struct cfi_module *m, uint64_t vaddr)
{
	struct cfi_row row;
	int r = cfi_find_row(m, vaddr, &row);

	if (r < 0) {
		assert(r == -ENOENT || r == -EBADMSG || r == -ENOTSUP);
		return;
	}
	assert(row.start <= vaddr && vaddr < row.end);
	assert(row.kind <= CFI_ROW_ALIGNED && row.cfa_reg < CFI_RA);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfi_module m = {.hdr_vaddr = HDR_VADDR, .eh_frame_vaddr = EH_FRAME_VADDR};
	struct cfi_module mapped;
	uint8_t *hdr, *eh_frame;
	size_t hdr_bytes;
	uint32_t vaddr;

	if (size < 5)
		return 0;
	hdr_bytes = data[0] * 4u;
	memcpy(&vaddr, data + 1, sizeof(vaddr));
	data += 5;
	size -= 5;
	if (hdr_bytes > size)
		hdr_bytes = size;
	hdr = copy_of(data, hdr_bytes);
	eh_frame = copy_of(data + hdr_bytes, size - hdr_bytes);

	m.hdr = hdr_bytes ? hdr : NULL;
	m.hdr_bytes = hdr_bytes;
	m.eh_frame = eh_frame;
	m.eh_frame_bytes = size - hdr_bytes;
	ask(&m, vaddr);
	ask(&m, vaddr % 0x1000);

	if (cfi_module_from_hdr(hdr, HDR_VADDR, 0, hdr_bytes, &mapped) == 0) {
		assert(mapped.eh_frame >= hdr && mapped.eh_frame_bytes <= hdr_bytes);
		ask(&mapped, vaddr);
	}
	free(hdr);
	free(eh_frame);
	return 0;
}
