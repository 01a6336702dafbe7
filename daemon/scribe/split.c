/*
 * An ELF file is made in memory, of the unit's sections under their plain names, and the
 * skeleton's part of .debug_addr and .debug_ranges, whose numbers the unit uses. Sections
 * are not copied: the new file's point to where they are, but for two. What is missing for
 * the unit to be whole is the address its ranges count from, DW_AT_low_pc, which needs
 * 8 bytes: just as many as the number by which the two parts know one another has, which
 * has served then.
 *
 *	DWARF 5, in the header:  length 5 SPLIT 8 abbrevs ID(8) | code attributes
 *	  becomes                length 5 FULL  8 abbrevs       | code LOW_PC(8) attributes
 *	before, an attribute:    DW_AT_GNU_dwo_id, 8 bytes
 *	  becomes                DW_AT_low_pc, an address
 *
 * so that nothing in the unit moves. The table of abbreviations, which says what attributes
 * an entry has, holds no offsets and may grow by the two bytes.
 *
 * libdw then reads a unit like any other, with its own checks. Here every number of the
 * file is checked before it is used as a size or a place.
 */
#include "daemon/scribe/split.h"

#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gelf.h>

#include "profd/base.h"
#include "daemon/scribe/section.h"
#include "daemon/scribe/split-file.h"

#define MAX_UNITS	 4096 /* looked at for the one */
#define MAX_UNIT_BYTES	 (256u << 20)
#define UNIT_HEADER	 11 /* bytes, before DWARF 5 */
#define SPLIT_HEADER	 20 /* in DWARF 5 */
#define WHOLE_HEADER	 12
#define ID_AT		 12 /* in DWARF 5 */
#define MAX_ABBREV_BYTES (16u << 20)

struct split {
	struct {
		Elf64_Ehdr header;
		Elf64_Shdr none;
	} image; /* what the new file is before it has sections */
	uint8_t *info, *abbrev;
	struct bytes parts[SPLIT_N_PARTS];
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_Die root;
};

/* ---- skeletons */

static bool read_number(Dwarf_Die *die, unsigned name, unsigned old_name, Dwarf_Word *ret)
{
	Dwarf_Attribute attr;

	return (dwarf_attr(die, name, &attr) || dwarf_attr(die, old_name, &attr)) &&
	       dwarf_formudata(&attr, ret) == 0;
}

/* From @base to the end; empty where that makes no sense. */
static Elf_Data take_rest(Elf *elf, const char *name, uint64_t base)
{
	const Elf_Data *data = section_data(elf, name);
	Elf_Data rest = {};

	if (!data || base >= data->d_size)
		return rest;
	rest.d_buf = (uint8_t *)data->d_buf + base;
	rest.d_size = data->d_size - base;
	return rest;
}

bool split_read_skeleton(Dwarf_Die *root, Elf *elf, struct split_skeleton *ret_skeleton)
{
	struct split_skeleton skeleton = {};
	Dwarf_Word base = 0, ranges_base = 0;
	Dwarf_Attribute attr;
	uint8_t type;

	if (dwarf_cu_info(root->cu, NULL, &type, NULL, NULL, &skeleton.id, NULL, NULL) < 0 ||
	    type != DW_UT_skeleton)
		return false;
	if (dwarf_attr(root, DW_AT_dwo_name, &attr) || dwarf_attr(root, DW_AT_GNU_dwo_name, &attr))
		skeleton.name = dwarf_formstring(&attr);
	if (dwarf_attr(root, DW_AT_comp_dir, &attr))
		skeleton.directory = dwarf_formstring(&attr);
	read_number(root, DW_AT_addr_base, DW_AT_GNU_addr_base, &base);
	read_number(root, DW_AT_GNU_ranges_base, DW_AT_GNU_ranges_base, &ranges_base);
	skeleton.addresses = take_rest(elf, ".debug_addr", base);
	skeleton.ranges = take_rest(elf, ".debug_ranges", ranges_base);
	if (dwarf_lowpc(root, &base) == 0)
		skeleton.base = base;
	*ret_skeleton = skeleton;
	return skeleton.name != NULL;
}

/* ---- joining */

/* A copy in which the bytes @from..@to are the two of DW_AT_low_pc, an address. */
static int change_abbrev(struct split *split, struct bytes table, const uint8_t *from,
			 const uint8_t *to)
{
	static const uint8_t low_pc[] = {DW_AT_low_pc, DW_FORM_addr};
	size_t head = (size_t)(from - table.at), tail = (size_t)(table.at + table.n - to);

	split->abbrev = malloc(head + sizeof(low_pc) + tail);
	if (!split->abbrev)
		return -ENOMEM;
	memcpy(split->abbrev, table.at, head);
	memcpy(split->abbrev + head, low_pc, sizeof(low_pc));
	memcpy(split->abbrev + head + sizeof(low_pc), to, tail);
	split->parts[SPLIT_ABBREV] = (struct bytes){split->abbrev, head + sizeof(low_pc) + tail};
	return 0;
}

/* The table of abbreviations that the unit says is its own. */
static int take_table(const struct bytes *section, uint32_t offset, struct bytes *ret)
{
	if (offset >= section->n || section->n - offset > MAX_ABBREV_BYTES)
		return -EBADMSG;
	*ret = (struct bytes){section->at + offset, section->n - offset};
	return 0;
}

static int copy_info(struct split *split, struct bytes unit)
{
	if (unit.n > MAX_UNIT_BYTES)
		return -EFBIG;
	/* libdw does not look whether a string in an entry has its end in the section. */
	split->info = malloc(unit.n + 1);
	if (!split->info)
		return -ENOMEM;
	memcpy(split->info, unit.at, unit.n);
	split->info[unit.n] = '\0';
	split->parts[SPLIT_INFO] = (struct bytes){split->info, unit.n};
	return 0;
}

static int join_v5(struct split *split, struct bytes unit, uint64_t base)
{
	const uint8_t *at = unit.at + SPLIT_HEADER, *attributes;
	struct bytes table;
	uint64_t code;
	uint32_t offset;
	size_t n;
	int r;

	memcpy(&offset, unit.at + 8, sizeof(offset));
	r = take_table(&split->parts[SPLIT_ABBREV], offset, &table);
	if (r < 0)
		return r;
	if (!abbrev_take_number(&at, unit.at + unit.n, &code))
		return -EBADMSG;
	n = (size_t)(at - unit.at) - SPLIT_HEADER;
	attributes = abbrev_find(table, code);
	if (!attributes)
		return -EBADMSG;
	r = change_abbrev(split, table, attributes, attributes);
	if (r == 0)
		r = copy_info(split, unit);
	if (r < 0)
		return r;
	split->info[6] = DW_UT_compile;
	memset(split->info + 8, 0, sizeof(offset));
	memmove(split->info + WHOLE_HEADER, split->info + SPLIT_HEADER, n);
	memcpy(split->info + WHOLE_HEADER + n, &base, sizeof(base));
	return 0;
}

static int add_section(const struct split *split, unsigned name, unsigned type, struct bytes bytes)
{
	Elf_Scn *section = elf_newscn(split->elf);
	Elf_Data *data = section ? elf_newdata(section) : NULL;
	GElf_Shdr header;

	if (!data || !gelf_getshdr(section, &header))
		return -ENOMEM;
	data->d_buf = (void *)bytes.at;
	data->d_size = bytes.n;
	data->d_align = 1;
	data->d_version = EV_CURRENT;
	header.sh_type = type;
	header.sh_name = name * SPLIT_NAME_BYTES;
	header.sh_size = bytes.n;
	return gelf_update_shdr(section, &header) ? 0 : -ENOMEM;
}

static int make_elf(struct split *split)
{
	GElf_Ehdr header;
	int r;

	split->image.header = (Elf64_Ehdr){
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shoff = sizeof(Elf64_Ehdr),
		.e_shnum = 1,
	};
	split->elf = elf_memory((char *)&split->image, sizeof(split->image));
	if (!split->elf)
		return -ENOMEM;
	r = add_section(split, 0, SHT_STRTAB,
			(struct bytes){(const uint8_t *)split_names, sizeof(split_names)});
	if (r < 0 || !gelf_getehdr(split->elf, &header))
		return -ENOMEM;
	header.e_shstrndx = 1;
	if (!gelf_update_ehdr(split->elf, &header))
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < SPLIT_N_PARTS; i++)
		if (split->parts[i].n > 0)
			r = add_section(split, 1 + i, SHT_PROGBITS, split->parts[i]);
	return r;
}

static int make_dwarf(struct split *split)
{
	Dwarf_CU *unit = NULL;
	int r = make_elf(split);

	if (r < 0)
		return r;
	split->dwarf = dwarf_begin_elf(split->elf, DWARF_C_READ, NULL);
	if (!split->dwarf ||
	    dwarf_get_units(split->dwarf, NULL, &unit, NULL, NULL, &split->root, NULL) != 0)
		return -EBADMSG;
	return 0;
}

static void end_dwarf(struct split *split)
{
	dwarf_end(split->dwarf);
	elf_end(split->elf);
	split->dwarf = NULL;
	split->elf = NULL;
}

/* Where in the unit its id is, if that is the one wanted; 0: it is another. */
static size_t find_id(struct split *split, uint64_t id)
{
	Dwarf_Attribute attr;
	Dwarf_Word found;

	if (make_dwarf(split) < 0 || !dwarf_attr(&split->root, DW_AT_GNU_dwo_id, &attr) ||
	    attr.form != DW_FORM_data8 || dwarf_formudata(&attr, &found) != 0 || found != id)
		return 0;
	return (size_t)(attr.valp - split->info);
}

static int join_v4(struct split *split, struct bytes unit, const struct split_skeleton *skeleton)
{
	const uint8_t *at = unit.at + UNIT_HEADER, *attributes;
	struct abbrev_attribute attribute;
	struct bytes table;
	uint32_t offset;
	uint64_t code;
	size_t id_at;
	int r;

	memcpy(&offset, unit.at + 6, sizeof(offset));
	r = take_table(&split->parts[SPLIT_ABBREV], offset, &table);
	if (r == 0)
		r = copy_info(split, unit);
	if (r < 0)
		return r;
	memset(split->info + 6, 0, sizeof(offset));
	split->parts[SPLIT_ABBREV] = table;
	id_at = find_id(split, skeleton->id);
	end_dwarf(split);
	if (id_at == 0)
		return -ENOENT;
	attributes =
		abbrev_take_number(&at, unit.at + unit.n, &code) ? abbrev_find(table, code) : NULL;
	while (attributes && abbrev_take_attribute(&attributes, table.at + table.n, &attribute)) {
		if (attribute.name != DW_AT_GNU_dwo_id)
			continue;
		memcpy(split->info + id_at, &skeleton->base, sizeof(skeleton->base));
		return change_abbrev(split, table, attribute.at, attribute.end);
	}
	return -EBADMSG;
}

static int join(struct split *split, struct bytes unit, const struct split_skeleton *skeleton)
{
	uint16_t version;
	uint64_t id;

	memcpy(&version, unit.at + 4, sizeof(version));
	if (version < 5)
		return join_v4(split, unit, skeleton);
	if (unit.n <= SPLIT_HEADER || unit.at[6] != DW_UT_split_compile)
		return -ENOENT;
	memcpy(&id, unit.at + ID_AT, sizeof(id));
	return id == skeleton->id ? join_v5(split, unit, skeleton->base) : -ENOENT;
}

/* ---- finding the unit */

/* Units of types come along. */
static int find_unit(struct split *split, const struct split_skeleton *skeleton)
{
	struct bytes info = split->parts[SPLIT_INFO], abbrev = split->parts[SPLIT_ABBREV], unit;
	int r = -ENOENT;

	for (unsigned i = 0; r == -ENOENT && i < MAX_UNITS && split_take_unit(&info, &unit); i++) {
		split->parts[SPLIT_ABBREV] = abbrev;
		free(take_ptr(split->info));
		free(take_ptr(split->abbrev));
		r = join(split, unit, skeleton);
	}
	return r;
}

static int split_init(const struct split_file *file, const struct split_skeleton *skeleton,
		      struct split *split)
{
	int r = split_file_parts(file, skeleton->id, split->parts);

	split->parts[SPLIT_ADDR] =
		(struct bytes){skeleton->addresses.d_buf, skeleton->addresses.d_size};
	split->parts[SPLIT_RANGES] =
		(struct bytes){skeleton->ranges.d_buf, skeleton->ranges.d_size};
	if (r == 0)
		r = find_unit(split, skeleton);
	return r < 0 ? r : make_dwarf(split);
}

int split_new(const struct split_file *file, const struct split_skeleton *skeleton,
	      struct split **ret_split)
{
	struct split *split = calloc(1, sizeof(*split));
	int r;

	if (!split)
		return -ENOMEM;
	r = split_init(file, skeleton, split);
	if (r < 0) {
		split_free(split);
		return r;
	}
	*ret_split = split;
	return 0;
}

void split_free(struct split *split)
{
	if (!split)
		return;
	end_dwarf(split);
	free(split->info);
	free(split->abbrev);
	free(split);
}

Dwarf *split_dwarf(const struct split *split)
{
	return split->dwarf;
}

Dwarf_Die split_root(const struct split *split)
{
	return split->root;
}

bool split_files(const struct split *split, Dwarf_Files **ret_files, size_t *ret_n)
{
	Dwarf_Lines *lines;
	Dwarf_CU *unit = NULL;
	Dwarf_Off next;
	size_t n;

	return split->parts[SPLIT_LINE].n > 0 &&
	       dwarf_next_lines(split->dwarf, 0, &next, &unit, ret_files, ret_n, &lines, &n) == 0;
}
