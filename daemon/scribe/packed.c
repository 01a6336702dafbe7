/*
 * libdw inflates every debug section as soon as a file is opened, each into memory of
 * the size that its header states. A few bytes may state any size, and a gigabyte of
 * zeros takes a megabyte, so the sizes are added up beforehand. libelf refuses a
 * section that turns out to be longer or shorter than stated.
 *
 * .gnu_debugdata states no size: it is inflated piece by piece up to a limit.
 */
#include "daemon/scribe/packed.h"

#include <errno.h>
#include <lzma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <gelf.h>

#include "profd/base.h"
#include "daemon/scribe/section.h"
#include "profd/limits.h"

#define PACKED_MAX_DECODER_BYTES (128u << 20) /* what lzma may use itself */
#define PACKED_FIRST_BYTES	 (256u << 10)
#define PACKED_OLD_HEADER	 12 /* "ZLIB" and the size, before there were SHF_COMPRESSED */

struct packed_debugdata {
	char *bytes;
	size_t n;
	Elf *elf;
};

static const char *section_name(Elf *elf, size_t names, const GElf_Shdr *header)
{
	const char *name = elf_strptr(elf, names, header->sh_name);

	return name ? name : "";
}

/* Sections of the old form are told by their names. */
static uint64_t old_stated_bytes(Elf_Scn *section)
{
	Elf_Data *raw = elf_rawdata(section, NULL);
	const uint8_t *bytes = raw ? raw->d_buf : NULL;
	uint64_t size = 0;

	if (!bytes || raw->d_size < PACKED_OLD_HEADER || memcmp(bytes, "ZLIB", 4) != 0)
		return 0;
	for (unsigned i = 4; i < PACKED_OLD_HEADER; i++)
		size = size << 8 | bytes[i];
	return size;
}

static uint64_t stated_bytes(Elf *elf, size_t names, Elf_Scn *section)
{
	GElf_Shdr header;
	GElf_Chdr packed;

	if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
		return 0;
	if (header.sh_flags & SHF_COMPRESSED)
		return gelf_getchdr(section, &packed) ? packed.ch_size : 0;
	if (strncmp(section_name(elf, names, &header), ".zdebug", 7) == 0)
		return old_stated_bytes(section);
	return 0;
}

bool packed_fits(Elf *elf)
{
	Elf_Scn *section = NULL;
	uint64_t sum = 0, stated;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return true;
	while ((section = elf_nextscn(elf, section))) {
		stated = stated_bytes(elf, names, section);
		if (stated > PROFD_MAX_UNPACKED_BYTES - sum)
			return false;
		sum += stated;
	}
	return true;
}

/* More room, up to the limit. */
static int grow(struct packed_debugdata *data, size_t *room)
{
	size_t wanted = *room ? 2 * *room : PACKED_FIRST_BYTES;
	char *grown;

	if (wanted > PROFD_MAX_DEBUGDATA_BYTES)
		return -EFBIG;
	grown = realloc(data->bytes, wanted);
	if (!grown)
		return -ENOMEM;
	data->bytes = grown;
	*room = wanted;
	return 0;
}

static int inflate_all(lzma_stream *stream, struct packed_debugdata *data)
{
	lzma_ret status = LZMA_OK;
	size_t room = 0;
	int r;

	while (status == LZMA_OK) {
		if (data->n == room) {
			r = grow(data, &room);
			if (r < 0)
				return r;
		}
		stream->next_out = (uint8_t *)data->bytes + data->n;
		stream->avail_out = room - data->n;
		status = lzma_code(stream, LZMA_FINISH);
		data->n = room - stream->avail_out;
	}
	return status == LZMA_STREAM_END ? 0 : status == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static int inflate(const Elf_Data *packed, struct packed_debugdata *data)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	int r;

	if (lzma_stream_decoder(&stream, PACKED_MAX_DECODER_BYTES, 0) != LZMA_OK)
		return -ENOMEM;
	stream.next_in = packed->d_buf;
	stream.avail_in = packed->d_size;
	r = inflate_all(&stream, data);
	lzma_end(&stream);
	return r;
}

int packed_open_debugdata(Elf *elf, struct packed_debugdata **ret_data)
{
	const Elf_Data *packed = section_data(elf, ".gnu_debugdata");
	struct packed_debugdata *data;
	int r;

	if (!packed || !packed->d_buf)
		return -ENOENT;
	data = calloc(1, sizeof(*data));
	if (!data)
		return -ENOMEM;
	r = inflate(packed, data);
	if (r == 0)
		data->elf = elf_memory(data->bytes, data->n);
	if (r == 0 && (!data->elf || elf_kind(data->elf) != ELF_K_ELF))
		r = -EBADMSG;
	if (r < 0) {
		packed_debugdata_free(data);
		return r;
	}
	*ret_data = data;
	return 0;
}

Elf *packed_debugdata_elf(const struct packed_debugdata *data)
{
	return data->elf;
}

void packed_debugdata_free(struct packed_debugdata *data)
{
	if (!data)
		return;
	elf_end(data->elf);
	free(data->bytes);
	free(data);
}
