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
#include "profd/base.h"

#define LINKS_MAX_NAME_BYTES	  (1u << 20)
#define LINKS_MAX_NOTE_BYTES	  (64u << 10)
#define LINKS_MAX_PROGRAM_HEADERS 128

struct links_reader {
	int fd;
	Elf64_Ehdr header;
	Elf64_Shdr *sections;
	unsigned n_sections;
	char *names; /* ends with a zero */
	size_t names_bytes;
};

static void reader_done(struct links_reader *r)
{
	free(r->sections);
	free(r->names);
}

static int read_header(struct links_reader *r)
{
	int rc = elf_read_at(r->fd, 0, &r->header, sizeof(r->header));

	if (rc < 0)
		return rc;
	if (memcmp(r->header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    r->header.e_ident[EI_CLASS] != ELFCLASS64 || r->header.e_ident[EI_DATA] != ELFDATA2LSB)
		return -EBADMSG;
	return 0;
}

static int read_names(struct links_reader *r)
{
	const Elf64_Shdr *table;

	if (r->header.e_shstrndx >= r->n_sections)
		return -EBADMSG;
	table = &r->sections[r->header.e_shstrndx];
	r->names_bytes = min(table->sh_size, (uint64_t)LINKS_MAX_NAME_BYTES);
	r->names = calloc(1, r->names_bytes + 1);
	if (!r->names)
		return -ENOMEM;
	return elf_read_at(r->fd, table->sh_offset, r->names, r->names_bytes);
}

static int read_sections(struct links_reader *r)
{
	unsigned n = r->header.e_shnum;

	if (n == 0 || n > PROFD_MAX_DEBUG_SECTIONS || r->header.e_shentsize != sizeof(*r->sections))
		return -EBADMSG;
	r->sections = calloc(n, sizeof(*r->sections));
	if (!r->sections)
		return -ENOMEM;
	r->n_sections = n;
	return elf_read_at(r->fd, r->header.e_shoff, r->sections, n * sizeof(*r->sections));
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
	const char *name = section->sh_name < r->names_bytes ? r->names + section->sh_name : "";

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
	rc = read_header(&r);
	if (rc < 0)
		return rc;
	find_code(&r, links);
	rc = read_sections(&r);
	if (rc == 0)
		rc = read_names(&r);
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	for (unsigned i = 0; rc == 0 && i < r.n_sections; i++)
		look_at_section(&r, &r.sections[i], links);
	*ret_links = *links;
	return 0;
}
