/*
 * Debug information first, for it knows inlines and lines; the symbol table
 * for what that does not cover: functions of assembly, of units built without
 * -g, of stripped files.
 *
 * Both are read when first needed. The file is mapped, not read: if its owner
 * cuts it short meanwhile, the process dies of SIGBUS, which is what it is
 * there for.
 */
#include "daemon/scribe/image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <gelf.h>

#include "profd/base.h"
#include "daemon/scribe/debug.h"
#include "daemon/scribe/symtab.h"

#define IMAGE_MAX_SEGMENTS 64

struct image_segment {
	uint64_t offset, bytes, vaddr;
	bool executable;
};

struct image {
	Elf *elf;
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

int image_open(int fd, struct image **ret_image)
{
	_cleanup_free_ struct image *image = NULL;
	struct stat st;
	int r;

	/* Reading from anything else may never end. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EBADMSG;
	elf_version(EV_CURRENT);
	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	image->elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!image->elf)
		return -EBADMSG;
	r = elf_kind(image->elf) == ELF_K_ELF ? read_segments(image) : -EBADMSG;
	if (r < 0) {
		elf_end(image->elf);
		return r;
	}
	*ret_image = take_ptr(image);
	return 0;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	debug_free(image->debug);
	symtab_free(image->symtab);
	elf_end(image->elf);
	free(image);
}

void image_release_pages(struct image *image)
{
	size_t bytes;
	char *file = elf_rawfile(image->elf, &bytes);

	/* Mapped read-only: no page holds anything of ours. */
	if (file)
		madvise(file, bytes, MADV_DONTNEED);
}

/* Segments may share a page of the file, never a byte of code; still, code is
 * what is asked for, so executable segments go first. */
bool image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr)
{
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
		r = symtab_new(image->elf, &image->symtab);
		if (r < 0)
			return r;
	}
	if (lines && !image->debug_tried) {
		image->debug_tried = true;
		/* Without it there are names all the same. */
		debug_new(image->elf, image->symtab, image->text_low, &image->debug);
	}
	if (lines && image->debug && debug_find(image->debug, vaddr, symbol) == 0)
		return 0;
	entry = symtab_find(image->symtab, vaddr);
	return entry ? symbol_push(symbol, entry->name, NULL, 0, 0) : -ENOENT;
}
