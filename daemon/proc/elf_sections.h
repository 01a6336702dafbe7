/*
 * The section headers of somebody else's ELF file. They are not loaded and may be missing
 * or wrong; nothing in them has been compared with the file, but that they are in it.
 */
#pragma once

#include <elf.h>
#include <stddef.h>

struct elf_sections {
	Elf64_Shdr *headers;
	unsigned n;
	char *names; /* ends with a zero of ours */
	size_t names_bytes;
};

/* Returns 0; -EBADMSG: not a 64-bit ELF file; -errno of reading. */
int elf_read_header(int fd, Elf64_Ehdr *ret_header);

/* A file may have none. Names: as much of them as @max_names bytes, without any if they are
 * not where the header says; @max_names 0: they are not read. Returns 0; -EBADMSG: more than
 * @max, or none that make sense; -ENOMEM; -errno of reading. */
int elf_read_sections(int fd, const Elf64_Ehdr *header, unsigned max, size_t max_names,
		      struct elf_sections *ret_sections);
void elf_sections_done(struct elf_sections *sections);

/* "" when it is not known. */
const char *elf_section_name(const struct elf_sections *sections, const Elf64_Shdr *section);
