/*
 * A small reader of somebody else's ELF file.
 *
 * The file is read with pread into memory of our own and never mapped: whoever
 * owns it may cut it short at any moment, which pread answers with a short read
 * and a mapping with SIGBUS. Every count in it is limited before it is used, so
 * that the work is bounded whatever the file says: 128 program headers, 64 KiB
 * of notes, 512 section headers.
 *
 * Program headers are what the kernel mapped the file by, so they are believed
 * and required. Section headers are not loaded and may be missing or wrong:
 * they only serve to find the end of .eh_frame, which program headers do not
 * tell, and Go's table of functions. Without them .eh_frame reaches to the end
 * of its segment, which is safe, as the section ends itself with a zero length.
 */
#include "daemon/proc/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/proc/elf_sections.h"
#include "profd/base.h"

#define ELF_MAX_PROGRAM_HEADERS 128
#define ELF_MAX_SECTION_HEADERS 512
#define ELF_MAX_NOTE_BYTES	(64u << 10)
#define ELF_MAX_NAME_BYTES	(64u << 10)
#define ELF_EH_HDR_BYTES	20 /* as much of .eh_frame_hdr as its pointer can need */

/* DW_EH_PE_*: how a pointer in unwind information is written. */
#define POINTER_FORMAT 0x0f
#define POINTER_BASE   0x70

struct elf_reader {
	int fd;
	uint64_t file_bytes;
	Elf64_Ehdr header;
	unsigned n_program_headers;
	Elf64_Phdr program_headers[ELF_MAX_PROGRAM_HEADERS];
};

int elf_read_at(int fd, uint64_t offset, void *ret, size_t bytes)
{
	size_t done = 0;

	if (offset > INT64_MAX - bytes)
		return -EBADMSG;
	while (done < bytes) {
		ssize_t n = pread(fd, (char *)ret + done, bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

static bool range_in_file(const struct elf_reader *r, uint64_t offset, uint64_t bytes)
{
	return bytes <= r->file_bytes && offset <= r->file_bytes - bytes;
}

static int read_headers(struct elf_reader *r)
{
	struct stat st;
	int rc;

	if (fstat(r->fd, &st) < 0)
		return -errno;
	r->file_bytes = (uint64_t)st.st_size;
	rc = elf_read_header(r->fd, &r->header);
	if (rc < 0)
		return rc;
	if (r->header.e_phentsize != sizeof(Elf64_Phdr) || r->header.e_phnum == 0)
		return -EBADMSG;
	r->n_program_headers = min((unsigned)r->header.e_phnum, (unsigned)ELF_MAX_PROGRAM_HEADERS);
	return elf_read_at(r->fd, r->header.e_phoff, r->program_headers,
			   r->n_program_headers * sizeof(Elf64_Phdr));
}

static void find_segments(const struct elf_reader *r, struct elf_layout *layout)
{
	for (unsigned i = 0; i < r->n_program_headers; i++) {
		const Elf64_Phdr *p = &r->program_headers[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || p->p_filesz == 0)
			continue;
		if (p->p_vaddr + p->p_filesz < p->p_vaddr ||
		    p->p_offset + p->p_filesz < p->p_offset)
			continue;
		if (layout->n_segments == MODULE_SEGMENT_MAX)
			return;
		layout->segments[layout->n_segments++] = (struct module_segment){
			.vaddr = p->p_vaddr,
			.bytes = p->p_filesz,
			.file_offset = p->p_offset,
		};
	}
}

/* The range of @vaddr up to the end of the segment's bytes in the file. */
static bool locate(const struct elf_reader *r, uint64_t vaddr, struct module_range *ret_range)
{
	for (unsigned i = 0; i < r->n_program_headers; i++) {
		const Elf64_Phdr *p = &r->program_headers[i];
		uint64_t skip = vaddr - p->p_vaddr;

		if (p->p_type != PT_LOAD || vaddr < p->p_vaddr || skip >= p->p_filesz)
			continue;
		if (!range_in_file(r, p->p_offset, p->p_filesz))
			return false;
		*ret_range = (struct module_range){
			.offset = p->p_offset + skip,
			.vaddr = vaddr,
			.bytes = p->p_filesz - skip,
		};
		return true;
	}
	return false;
}

/* Notes are padded to 4 bytes, in segments aligned to 8 to 8. */
bool elf_find_build_id(const uint8_t *notes, size_t bytes, size_t align, uint8_t *ret_build_id,
		       size_t *ret_bytes)
{
	size_t at = 0;

	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		size_t name_at, desc_at, name_bytes, desc_bytes;
		Elf64_Nhdr note;

		memcpy(&note, notes + at, sizeof(note));
		name_bytes = note.n_namesz;
		desc_bytes = note.n_descsz;
		name_at = at + sizeof(note);
		if (name_bytes > bytes - name_at)
			return false;
		desc_at = (name_at + name_bytes + align - 1) & ~(align - 1);
		if (desc_at > bytes || desc_bytes > bytes - desc_at)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && name_bytes == 4 &&
		    memcmp(notes + name_at, "GNU", 4) == 0 && desc_bytes > 0 &&
		    desc_bytes <= MODULE_BUILD_ID_MAX) {
			memcpy(ret_build_id, notes + desc_at, desc_bytes);
			*ret_bytes = desc_bytes;
			return true;
		}
		at = (desc_at + desc_bytes + align - 1) & ~(align - 1);
		if (at > bytes)
			return false;
	}
	return false;
}

static int find_build_id(const struct elf_reader *r, struct elf_layout *layout)
{
	for (unsigned i = 0; i < r->n_program_headers; i++) {
		const Elf64_Phdr *p = &r->program_headers[i];
		_cleanup_free_ uint8_t *notes = NULL;

		if (p->p_type != PT_NOTE || p->p_filesz > ELF_MAX_NOTE_BYTES)
			continue;
		if (!range_in_file(r, p->p_offset, p->p_filesz))
			continue;
		notes = malloc(p->p_filesz + 1);
		if (!notes)
			return -ENOMEM;
		if (elf_read_at(r->fd, p->p_offset, notes, p->p_filesz) < 0)
			continue;
		if (elf_find_build_id(notes, p->p_filesz, p->p_align == 8 ? 8 : 4, layout->build_id,
				      &layout->build_id_bytes))
			break;
	}
	return 0;
}

/* .eh_frame_hdr: version, three encodings, then the pointer to .eh_frame. */
static bool decode_eh_frame_pointer(const uint8_t *hdr, uint64_t hdr_vaddr, uint64_t *ret_vaddr)
{
	const uint8_t *at = hdr + 4;
	uint64_t value;
	int32_t narrow;

	if (hdr[0] != 1)
		return false;
	switch (hdr[1] & POINTER_FORMAT) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		memcpy(&value, at, 8);
		break;
	case 0x03: /* udata4 */
		memcpy(&narrow, at, 4);
		value = (uint32_t)narrow;
		break;
	case 0x0b: /* sdata4 */
		memcpy(&narrow, at, 4);
		value = (uint64_t)(int64_t)narrow;
		break;
	default:
		return false;
	}
	switch (hdr[1] & POINTER_BASE) {
	case 0x00:
		break;
	case 0x10: /* relative to the pointer itself */
		value += hdr_vaddr + 4;
		break;
	case 0x30: /* relative to .eh_frame_hdr */
		value += hdr_vaddr;
		break;
	default:
		return false;
	}
	*ret_vaddr = value;
	return true;
}

static void find_eh_frame_hdr(const struct elf_reader *r, struct elf_layout *layout)
{
	for (unsigned i = 0; i < r->n_program_headers; i++) {
		const Elf64_Phdr *p = &r->program_headers[i];
		uint8_t hdr[ELF_EH_HDR_BYTES] = {0};
		uint64_t eh_frame;

		if (p->p_type != PT_GNU_EH_FRAME || p->p_filesz < 8 ||
		    !range_in_file(r, p->p_offset, p->p_filesz))
			continue;
		layout->eh_frame_hdr = (struct module_range){p->p_offset, p->p_vaddr, p->p_filesz};
		if (elf_read_at(r->fd, p->p_offset, hdr, min((uint64_t)sizeof(hdr), p->p_filesz)) ==
			    0 &&
		    decode_eh_frame_pointer(hdr, p->p_vaddr, &eh_frame))
			locate(r, eh_frame, &layout->eh_frame);
		return;
	}
}

/* The bytes in the file of the section @i; false: none that could be right. */
static bool section_range(const struct elf_reader *r, const struct elf_sections *s, unsigned i,
			  struct module_range *ret_range)
{
	const Elf64_Shdr *h = &s->headers[i];

	if (h->sh_type == SHT_NOBITS || h->sh_size == 0 ||
	    !range_in_file(r, h->sh_offset, h->sh_size))
		return false;
	*ret_range = (struct module_range){h->sh_offset, h->sh_addr, h->sh_size};
	return true;
}

static bool find_section(const struct elf_reader *r, const struct elf_sections *s, const char *name,
			 struct module_range *ret_range)
{
	for (unsigned i = 0; i < s->n; i++)
		if (strcmp(elf_section_name(s, &s->headers[i]), name) == 0)
			return section_range(r, s, i, ret_range);
	return false;
}

/* The section that starts where .eh_frame is known to start, or else the one
 * that has its name. */
static void find_eh_frame(const struct elf_reader *r, const struct elf_sections *s,
			  struct elf_layout *layout)
{
	if (layout->eh_frame.bytes == 0) {
		find_section(r, s, ".eh_frame", &layout->eh_frame);
		return;
	}
	for (unsigned i = 0; i < s->n; i++)
		if (s->headers[i].sh_addr == layout->eh_frame.vaddr &&
		    section_range(r, s, i, &layout->eh_frame))
			return;
}

static int find_tables(const struct elf_reader *r, struct elf_layout *layout)
{
	_cleanup_(elf_sections_done) struct elf_sections s = {0};

	/* Without sections that make sense there is what program headers say. */
	if (elf_read_sections(r->fd, &r->header, ELF_MAX_SECTION_HEADERS, ELF_MAX_NAME_BYTES, &s) ==
	    -ENOMEM)
		return -ENOMEM;
	find_eh_frame(r, &s, layout);
	if (!find_section(r, &s, ".gopclntab", &layout->go_table))
		find_section(r, &s, ".data.rel.ro.gopclntab", &layout->go_table);
	return 0;
}

int elf_read_layout(int fd, struct elf_layout *ret_layout)
{
	_cleanup_free_ struct elf_reader *r = calloc(1, sizeof(*r));
	struct elf_layout layout = {0};
	int rc;

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	rc = read_headers(r);
	if (rc < 0)
		return rc;
	find_segments(r, &layout);
	rc = find_build_id(r, &layout);
	if (rc < 0)
		return rc;
	find_eh_frame_hdr(r, &layout);
	rc = find_tables(r, &layout);
	if (rc < 0)
		return rc;
	*ret_layout = layout;
	return 0;
}
