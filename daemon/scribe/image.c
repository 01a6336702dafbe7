/*
 * Debug information first, for it knows inlines and lines; the symbol table
 * for what that does not cover: functions of assembly, of units built without
 * -g, of stripped files.
 *
 * A program may come in parts: the file that was mapped, its separate debug file,
 * what dwz moved out of that, files of split units, and a small ELF file packed into
 * .gnu_debugdata. All have the same addresses. Debug information is in the first of them that has
 * any; the symbol table is put together from all. A Go program without debug information has a
 * table of its own.
 *
 * All is read when first needed. Files are mapped, not read: if its owner cuts one
 * short meanwhile, the process dies of SIGBUS, which is what it is there for.
 */
#include "daemon/scribe/image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gelf.h>

#include "profd/base.h"
#include "daemon/scribe/debug.h"
#include "daemon/scribe/go_names.h"
#include "daemon/scribe/packed.h"
#include "daemon/scribe/symtab.h"
#include "profd/limits.h"
#include "proto/gzip.h"

#define IMAGE_MAX_SEGMENTS 64

struct image_segment {
	uint64_t offset, bytes, vaddr;
	bool executable;
};

struct image {
	Elf *elf;
	struct image_debug parts;
	struct splits_opener opener;
	Elf *debug_elf, *alt_elf;      /* NULL: none */
	struct packed_debugdata *data; /* NULL: none */
	struct go_names *go;	       /* NULL: none */
	unsigned refused;
	struct image_segment segments[IMAGE_MAX_SEGMENTS];
	size_t n_segments;
	uint64_t text_low;
	struct symtab *symtab; /* NULL: not read yet */
	struct debug *debug;
	bool debug_tried;
};

static int read_segments(struct image *image)
{
	GElf_Phdr header;
	size_t n;

	image->text_low = UINT64_MAX;
	if (elf_getphdrnum(image->elf, &n) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < n && image->n_segments < IMAGE_MAX_SEGMENTS; i++) {
		bool executable;

		if (!gelf_getphdr(image->elf, (int)i, &header) || header.p_type != PT_LOAD)
			continue;
		executable = header.p_flags & PF_X;
		image->segments[image->n_segments++] = (struct image_segment){
			.offset = header.p_offset,
			.bytes = header.p_filesz,
			.vaddr = header.p_vaddr,
			.executable = executable,
		};
		if (executable)
			image->text_low = min(image->text_low, (uint64_t)header.p_vaddr);
	}
	return image->n_segments > 0 ? 0 : -EBADMSG;
}

/* Reading from anything but a regular file may never end. NULL: no ELF file. */
static Elf *open_elf(int fd)
{
	struct stat st;
	Elf *elf;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf && elf_kind(elf) != ELF_K_ELF) {
		elf_end(elf);
		return NULL;
	}
	return elf;
}

int image_open(int fd, struct image **ret_image)
{
	_cleanup_free_ struct image *image = NULL;
	int r;

	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	image->parts = (struct image_debug)IMAGE_DEBUG_NONE;
	image->elf = open_elf(fd);
	if (!image->elf)
		return -EBADMSG;
	r = read_segments(image);
	if (r < 0) {
		elf_end(image->elf);
		return r;
	}
	*ret_image = take_ptr(image);
	return 0;
}

void image_set_debug(struct image *image, const struct image_debug *debug)
{
	image->parts = *debug;
}

void image_set_opener(struct image *image, const struct splits_opener *opener)
{
	image->opener = *opener;
}

unsigned image_refused(const struct image *image)
{
	return image->refused + (image->debug ? debug_refused(image->debug) : 0);
}

void image_close(struct image *image)
{
	if (!image)
		return;
	debug_free(image->debug);
	symtab_free(image->symtab);
	elf_end(image->elf);
	elf_end(image->debug_elf);
	elf_end(image->alt_elf);
	packed_debugdata_free(image->data);
	go_names_free(image->go);
	free(image);
}

/* Mapped read-only: no page holds anything of ours. */
static void release_pages(Elf *elf)
{
	size_t bytes;
	char *file = elf ? elf_rawfile(elf, &bytes) : NULL;

	if (file)
		madvise(file, bytes, MADV_DONTNEED);
}

/* But not of image->data, which is memory and would be zeros then. */
void image_release_pages(struct image *image)
{
	release_pages(image->elf);
	release_pages(image->debug_elf);
	release_pages(image->alt_elf);
	if (image->debug)
		debug_release_pages(image->debug);
}

static bool has_crc(int fd, uint32_t wanted)
{
	uint8_t bytes[1 << 16];
	uint32_t crc = 0;
	uint64_t at = 0;
	ssize_t n;

	do {
		n = pread(fd, bytes, sizeof(bytes), (off_t)at);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			crc = gzip_crc32(crc, bytes, (size_t)n);
			at += (uint64_t)n;
		}
	} while (n != 0 && at <= PROFD_MAX_CRC_BYTES);
	return n == 0 && crc == wanted;
}

/* A part of the program in a file of its own. */
static Elf *open_part(struct image *image, int fd)
{
	Elf *elf;

	if (fd < 0)
		return NULL;
	elf = open_elf(fd);
	if (elf && !packed_fits(elf)) {
		elf_end(elf);
		elf = NULL;
	}
	if (!elf)
		image->refused++;
	return elf;
}

static void open_parts(struct image *image)
{
	const struct image_debug *parts = &image->parts;
	int r;

	if (parts->debug_fd >= 0 && parts->check_crc && !has_crc(parts->debug_fd, parts->crc))
		image->refused++;
	else
		image->debug_elf = open_part(image, parts->debug_fd);
	image->alt_elf = open_part(image, parts->alt_fd);
	r = packed_open_debugdata(image->elf, &image->data);
	if (r < 0 && r != -ENOENT)
		image->refused++;
}

static int read_symtab(struct image *image)
{
	Elf *elfs[SYMTAB_MAX_PARTS];
	size_t n = 0;

	open_parts(image);
	go_names_new(image->elf, &image->go);
	elfs[n++] = image->elf;
	if (image->debug_elf)
		elfs[n++] = image->debug_elf;
	if (image->data)
		elfs[n++] = packed_debugdata_elf(image->data);
	return symtab_new(elfs, n, &image->symtab);
}

/* Without it there are names all the same. */
static void read_debug(struct image *image)
{
	int r = -ENOENT;

	image->debug_tried = true;
	if (packed_fits(image->elf))
		r = debug_new(image->elf, image->alt_elf, image->symtab, image->text_low,
			      &image->opener, &image->debug);
	else
		image->refused++;
	if (r < 0 && image->debug_elf)
		debug_new(image->debug_elf, image->alt_elf, image->symtab, image->text_low,
			  &image->opener, &image->debug);
}

/* Segments may share a page of the file, never a byte of code; still, code is
 * what is asked for, so executable segments go first. */
bool image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr)
{
	if (image->parts.only) {
		*ret_vaddr = offset + image->parts.vaddr_minus_offset;
		return true;
	}
	for (int executable = 1; executable >= 0; executable--) {
		for (size_t i = 0; i < image->n_segments; i++) {
			const struct image_segment *s = &image->segments[i];

			if (s->executable != executable || offset < s->offset ||
			    offset - s->offset >= s->bytes)
				continue;
			*ret_vaddr = s->vaddr + (offset - s->offset);
			return true;
		}
	}
	return false;
}

int image_find(struct image *image, uint64_t vaddr, bool lines, struct symbol *symbol)
{
	const struct symtab_entry *entry;
	int r;

	if (!image->symtab) {
		r = read_symtab(image);
		if (r < 0)
			return r;
	}
	if (lines && !image->debug_tried)
		read_debug(image);
	if (lines && image->debug && debug_find(image->debug, vaddr, symbol) == 0)
		return 0;
	if (image->go && go_names_find(image->go, vaddr, symbol) == 0)
		return 0;
	entry = symtab_find(image->symtab, vaddr);
	return entry ? symbol_push(symbol, entry->name, NULL, 0, 0) : -ENOENT;
}
