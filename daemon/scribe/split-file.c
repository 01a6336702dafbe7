/*
 * A file of one or more units, or a package of many, that share the sections: what is the
 * unit's own in each, the package's index tells (package.h). Strings are everybody's.
 */
#include "daemon/scribe/split-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <gelf.h>

#include "profd/base.h"
#include "daemon/scribe/package.h"
#include "daemon/scribe/packed.h"
#include "daemon/scribe/section.h"

static const enum package_section columns[SPLIT_N_OF_FILE] = {
	[SPLIT_INFO] = PACKAGE_INFO,
	[SPLIT_ABBREV] = PACKAGE_ABBREV,
	[SPLIT_STR_OFFSETS] = PACKAGE_STR_OFFSETS,
	[SPLIT_LINE] = PACKAGE_LINE,
	[SPLIT_RNGLISTS] = PACKAGE_RNGLISTS,
};

struct split_file {
	void *map;
	size_t map_bytes;
	Elf *elf;
	struct bytes parts[SPLIT_N_OF_FILE];
	const Elf_Data *index; /* NULL: no package */
};

const char split_names[1 + SPLIT_N_PARTS][SPLIT_NAME_BYTES] = {
	[1 + SPLIT_INFO] = ".debug_info", [1 + SPLIT_ABBREV] = ".debug_abbrev",
	[1 + SPLIT_STR] = ".debug_str",	  [1 + SPLIT_STR_OFFSETS] = ".debug_str_offsets",
	[1 + SPLIT_LINE] = ".debug_line", [1 + SPLIT_RNGLISTS] = ".debug_rnglists",
	[1 + SPLIT_ADDR] = ".debug_addr", [1 + SPLIT_RANGES] = ".debug_ranges",
};

static void find_parts(struct split_file *file)
{
	char name[SPLIT_NAME_BYTES + sizeof(".dwo")];

	for (unsigned i = 0; i < SPLIT_N_OF_FILE; i++) {
		const Elf_Data *data;

		snprintf(name, sizeof(name), "%s.dwo", split_names[1 + i]);
		data = section_inflate(file->elf, name);
		if (data)
			file->parts[i] = (struct bytes){data->d_buf, data->d_size};
	}
	file->index = section_inflate(file->elf, ".debug_cu_index");
}

static int map_file(struct split_file *file, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return -EBADMSG;
	file->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file->map == MAP_FAILED) {
		file->map = NULL;
		return -errno;
	}
	file->map_bytes = (size_t)st.st_size;
	file->elf = elf_memory(file->map, file->map_bytes);
	if (!file->elf || elf_kind(file->elf) != ELF_K_ELF)
		return -EBADMSG;
	if (!packed_fits(file->elf))
		return -EFBIG;
	find_parts(file);
	return file->parts[SPLIT_INFO].at && file->parts[SPLIT_ABBREV].at ? 0 : -EBADMSG;
}

int split_file_open(int fd, struct split_file **ret_file)
{
	_cleanup_close_ int owned = fd;
	struct split_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	r = map_file(file, owned);
	if (r < 0) {
		split_file_close(file);
		return r;
	}
	*ret_file = file;
	return 0;
}

void split_file_close(struct split_file *file)
{
	if (!file)
		return;
	elf_end(file->elf);
	if (file->map)
		munmap(file->map, file->map_bytes);
	free(file);
}

void split_file_release_pages(const struct split_file *file)
{
	madvise(file->map, file->map_bytes, MADV_DONTNEED);
}

bool split_take_unit(struct bytes *info, struct bytes *ret_unit)
{
	uint32_t n;

	if (info->n < sizeof(n))
		return false;
	memcpy(&n, info->at, sizeof(n));
	if (n > info->n - sizeof(n) || n + sizeof(n) < SPLIT_MIN_UNIT_BYTES)
		return false;
	*ret_unit = (struct bytes){info->at, n + sizeof(n)};
	info->at += ret_unit->n;
	info->n -= ret_unit->n;
	return true;
}

static int take_package_parts(const struct split_file *file, uint64_t id, struct bytes *parts)
{
	struct package_unit unit;
	int r = package_find(file->index, id, &unit);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < SPLIT_N_OF_FILE; i++) {
		const struct package_part *part = &unit.parts[columns[i]];
		const struct bytes *whole = &file->parts[i];

		if (i == SPLIT_STR || part->bytes == 0)
			continue;
		if (part->offset > whole->n || part->bytes > whole->n - part->offset)
			return -EBADMSG;
		parts[i] = (struct bytes){whole->at + part->offset, part->bytes};
	}
	if (unit.version < 5)
		parts[SPLIT_RNGLISTS] = (struct bytes){};
	parts[SPLIT_STR] = file->parts[SPLIT_STR];
	return parts[SPLIT_INFO].at && parts[SPLIT_ABBREV].at ? 0 : -EBADMSG;
}

int split_file_parts(const struct split_file *file, uint64_t unit_id, struct bytes *ret_parts)
{
	struct bytes parts[SPLIT_N_OF_FILE] = {};
	int r = 0;

	if (file->index)
		r = take_package_parts(file, unit_id, parts);
	else
		memcpy(parts, file->parts, sizeof(parts));
	if (r == 0)
		memcpy(ret_parts, parts, sizeof(parts));
	return r;
}
