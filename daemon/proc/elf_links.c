/*
 * Links are sections, so this goes by section headers, which a debug file has true,
 * other than its program headers: those describe the program that it was taken
 * from. Everything is read with pread and is bounded, as in elf.c.
 */
#include "daemon/proc/elf_links.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "daemon/proc/elf.h"
#include "daemon/proc/elf_sections.h"
#include "profd/base.h"

#define LINKS_MAX_NAME_BYTES	  (1u << 20)
#define LINKS_MAX_NOTE_BYTES	  (64u << 10)
#define LINKS_MAX_PROGRAM_HEADERS 128

struct links_reader {
	int fd;
	Elf64_Ehdr header;
	struct elf_sections sections;
};

static void reader_done(struct links_reader *r)
{
	elf_sections_done(&r->sections);
}

/* The section's bytes, at most @size. Returns how many, 0 if it has more. */
static size_t read_section(const struct links_reader *r, const Elf64_Shdr *section, void *ret,
			   size_t size)
{
	if (section->sh_type == SHT_NOBITS || section->sh_size > size ||
	    elf_read_at(r->fd, section->sh_offset, ret, section->sh_size) < 0)
		return 0;
	return section->sh_size;
}

/* A file name, zeros up to a multiple of four, a checksum. */
static void read_link(const struct links_reader *r, const Elf64_Shdr *section,
		      struct elf_links *links)
{
	char bytes[PROFD_MAX_DEBUG_NAME + 1 + 3 + sizeof(uint32_t)];
	size_t n = read_section(r, section, bytes, sizeof(bytes)), name, crc_at;

	links->has_link = true;
	name = strnlen(bytes, n);
	crc_at = (name + 1 + 3) & ~(size_t)3;
	if (n < sizeof(uint32_t) || name > PROFD_MAX_DEBUG_NAME || crc_at > n - sizeof(uint32_t))
		return;
	memcpy(links->link, bytes, name);
	memcpy(&links->link_crc, bytes + crc_at, sizeof(links->link_crc));
}

/* A path, a zero, a build-id. */
static void read_alt(const struct links_reader *r, const Elf64_Shdr *section,
		     struct elf_links *links)
{
	char bytes[PROFD_MAX_PATH + MODULE_BUILD_ID_MAX];
	size_t n = read_section(r, section, bytes, sizeof(bytes)), path = strnlen(bytes, n);
	size_t id = n - path;

	links->has_alt = true;
	if (id < 2 || id - 1 > MODULE_BUILD_ID_MAX || path >= PROFD_MAX_PATH)
		return;
	memcpy(links->alt, bytes, path);
	memcpy(links->alt_build_id, bytes + path + 1, id - 1);
	links->alt_build_id_bytes = id - 1;
}

static void read_note(const struct links_reader *r, const Elf64_Shdr *section,
		      struct elf_links *links)
{
	_cleanup_free_ uint8_t *bytes = NULL;

	if (links->build_id_bytes > 0 || section->sh_size > LINKS_MAX_NOTE_BYTES)
		return;
	bytes = malloc(section->sh_size + 1);
	if (!bytes || read_section(r, section, bytes, section->sh_size) == 0)
		return;
	elf_find_build_id(bytes, section->sh_size, section->sh_addralign == 8 ? 8 : 4,
			  links->build_id, &links->build_id_bytes);
}

static void look_at_section(const struct links_reader *r, const Elf64_Shdr *section,
			    struct elf_links *links)
{
	const char *name = elf_section_name(&r->sections, section);

	if (section->sh_type == SHT_NOTE)
		read_note(r, section, links);
	else if (strcmp(name, ".gnu_debuglink") == 0)
		read_link(r, section, links);
	else if (strcmp(name, ".gnu_debugaltlink") == 0)
		read_alt(r, section, links);
	else if (strcmp(name, ".debug_info") == 0 || strcmp(name, ".zdebug_info") == 0)
		links->has_dwarf = section->sh_type != SHT_NOBITS;
}

static void find_code(const struct links_reader *r, struct elf_links *links)
{
	unsigned n = min((unsigned)r->header.e_phnum, (unsigned)LINKS_MAX_PROGRAM_HEADERS);
	Elf64_Phdr p;

	if (r->header.e_phentsize != sizeof(p))
		return;
	for (unsigned i = 0; i < n; i++) {
		if (elf_read_at(r->fd, r->header.e_phoff + i * sizeof(p), &p, sizeof(p)) < 0)
			return;
		if (p.p_type != PT_LOAD || !(p.p_flags & PF_X))
			continue;
		links->code_vaddr = p.p_vaddr;
		links->n_code++;
	}
}

int elf_read_links(int fd, struct elf_links *ret_links)
{
	_cleanup_(reader_done) struct links_reader r = {.fd = fd};
	_cleanup_free_ struct elf_links *links = calloc(1, sizeof(*links));
	int rc;

	if (!links)
		return -ENOMEM;
	rc = elf_read_header(fd, &r.header);
	if (rc < 0)
		return rc;
	find_code(&r, links);
	rc = elf_read_sections(fd, &r.header, PROFD_MAX_DEBUG_SECTIONS, LINKS_MAX_NAME_BYTES,
			       &r.sections);
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	for (unsigned i = 0; i < r.sections.n; i++)
		look_at_section(&r, &r.sections.headers[i], links);
	*ret_links = *links;
	return 0;
}
