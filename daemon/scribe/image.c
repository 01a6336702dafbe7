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
#include "daemon/scribe/transient.h"
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
	bool debug_tried, lacks;
	int error; /* of reading the symbol table; it is not read again */
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

/* Reading from anything but a regular file may never end. -EBADMSG: no ELF file. */
static int open_elf(int fd, Elf **ret_elf)
{
	struct stat st;
	Elf *elf;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	elf_version(EV_CURRENT);
	errno = 0;
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return is_transient(-errno) ? -errno : -EBADMSG;
	if (elf_kind(elf) != ELF_K_ELF) {
		elf_end(elf);
		return -EBADMSG;
	}
	*ret_elf = elf;
	return 0;
}

int image_open(int fd, struct image **ret_image)
{
	_cleanup_free_ struct image *image = NULL;
	int r;

	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	image->parts = (struct image_debug)IMAGE_DEBUG_NONE;
	r = open_elf(fd, &image->elf);
	if (r < 0)
		return r;
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

bool image_is_whole(const struct image *image)
{
	return !image->lacks && !(image->debug && debug_lacks(image->debug));
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

/* What failed is either of the file, or of the moment. */
static void count_failure(struct image *image, int r)
{
	if (is_transient(r))
		image->lacks = true;
	else
		image->refused++;
}

/* 0; -EBADMSG: it has another one. */
static int check_crc(int fd, uint32_t wanted)
{
	uint8_t bytes[1 << 16];
	uint32_t crc = 0;
	uint64_t at = 0;
	ssize_t n;

	do {
		n = pread(fd, bytes, sizeof(bytes), (off_t)at);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			crc = gzip_crc32(crc, bytes, (size_t)n);
			at += (uint64_t)n;
		}
	} while (n != 0 && at <= PROFD_MAX_CRC_BYTES);
	return n == 0 && crc == wanted ? 0 : -EBADMSG;
}

/* A part of the program in a file of its own. */
static Elf *open_part(struct image *image, int fd)
{
	Elf *elf = NULL;
	int r;

	if (fd < 0)
		return NULL;
	r = open_elf(fd, &elf);
	if (r == 0 && !packed_fits(elf)) {
		elf_end(elf);
		elf = NULL;
		r = -EFBIG;
	}
	if (r < 0)
		count_failure(image, r);
	return elf;
}

static void open_parts(struct image *image)
{
	const struct image_debug *parts = &image->parts;
	int r = 0;

	if (parts->debug_fd >= 0 && parts->check_crc)
		r = check_crc(parts->debug_fd, parts->crc);
	if (r < 0)
		count_failure(image, r);
	else
		image->debug_elf = open_part(image, parts->debug_fd);
	image->alt_elf = open_part(image, parts->alt_fd);
	r = packed_open_debugdata(image->elf, &image->data);
	if (r < 0 && r != -ENOENT)
		count_failure(image, r);
}

static int read_symtab(struct image *image)
{
	Elf *elfs[SYMTAB_MAX_PARTS];
	size_t n = 0;

	open_parts(image);
	if (go_names_new(image->elf, &image->go) == -ENOMEM)
		image->lacks = true;
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
	image->lacks |= is_transient(r);
	if (r < 0 && image->debug_elf)
		r = debug_new(image->debug_elf, image->alt_elf, image->symtab, image->text_low,
			      &image->opener, &image->debug);
	image->lacks |= is_transient(r);
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

static int find(struct image *image, uint64_t vaddr, bool lines, struct symbol *symbol)
{
	const struct symtab_entry *entry;

	if (!image->symtab && image->error == 0)
		image->error = read_symtab(image);
	if (image->error < 0) {
		image->lacks = true;
		return image->error;
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

/* libdw skips what it has no memory for, and does not say so. */
int image_find(struct image *image, uint64_t vaddr, bool lines, struct symbol *symbol)
{
	int r;

	errno = 0;
	r = find(image, vaddr, lines, symbol);
	if (errno == ENOMEM)
		image->lacks = true;
	return r;
}
