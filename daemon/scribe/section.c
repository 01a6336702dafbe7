#include "daemon/scribe/section.h"

#include <stddef.h>
#include <string.h>

#include <gelf.h>

Elf_Scn *section_find(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	const char *found;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		found = elf_strptr(elf, names, header.sh_name);
		if (found && strcmp(found, name) == 0)
			return section;
	}
	return NULL;
}

Elf_Data *section_data(Elf *elf, const char *name)
{
	Elf_Scn *section = section_find(elf, name);
	Elf_Data *data;
	GElf_Shdr header;

	if (!section || !gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS ||
	    (header.sh_flags & SHF_COMPRESSED))
		return NULL;
	data = elf_rawdata(section, NULL);
	return data && data->d_buf ? data : NULL;
}

Elf_Data *section_inflate(Elf *elf, const char *name)
{
	Elf_Scn *section = section_find(elf, name);
	GElf_Shdr header;
	Elf_Data *data;

	if (!section || !gelf_getshdr(section, &header) || !(header.sh_flags & SHF_COMPRESSED))
		return section_data(elf, name);
	if (elf_compress(section, 0, 0) < 0)
		return NULL;
	data = elf_getdata(section, NULL);
	return data && data->d_buf ? data : NULL;
}
