#include "daemon/proc/elf_sections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proc/elf.h"
#include "profd/base.h"

int elf_read_header(int fd, Elf64_Ehdr *ret_header)
{
	Elf64_Ehdr header;
	int r = elf_read_at(fd, 0, &header, sizeof(header));

	if (r < 0)
		return r;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return -EBADMSG;
	*ret_header = header;
	return 0;
}

static int read_names(int fd, unsigned index, size_t max, struct elf_sections *s)
{
	if (index >= s->n || max == 0)
		return 0;
	s->names_bytes = min(s->headers[index].sh_size, (uint64_t)max);
	s->names = calloc(1, s->names_bytes + 1);
	if (!s->names)
		return -ENOMEM;
	if (elf_read_at(fd, s->headers[index].sh_offset, s->names, s->names_bytes) < 0)
		s->names_bytes = 0;
	return 0;
}

int elf_read_sections(int fd, const Elf64_Ehdr *header, unsigned max, size_t max_names,
		      struct elf_sections *ret_sections)
{
	struct elf_sections s = {.n = header->e_shnum};
	int r;

	if (s.n > 0 && (s.n > max || header->e_shentsize != sizeof(*s.headers)))
		return -EBADMSG;
	s.headers = calloc(s.n + 1u, sizeof(*s.headers));
	if (!s.headers)
		return -ENOMEM;
	r = elf_read_at(fd, header->e_shoff, s.headers, s.n * sizeof(*s.headers));
	if (r == 0)
		r = read_names(fd, header->e_shstrndx, max_names, &s);
	if (r < 0) {
		elf_sections_done(&s);
		return r;
	}
	*ret_sections = s;
	return 0;
}

void elf_sections_done(struct elf_sections *sections)
{
	free(sections->headers);
	free(sections->names);
	*sections = (struct elf_sections){};
}

const char *elf_section_name(const struct elf_sections *sections, const Elf64_Shdr *section)
{
	return section->sh_name < sections->names_bytes ? sections->names + section->sh_name : "";
}
