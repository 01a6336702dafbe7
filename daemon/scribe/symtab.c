/*
 * One entry an address: where several names share a function, the one a person
 * would use is kept (malloc, not __libc_malloc), by a rule that gives the same
 * answer every time.
 *
 * A symbol with a size covers that size and no more: in a library that kept
 * only its exported names, the code between two of them belongs to functions
 * whose names are gone, and the nearest name would be a lie. A symbol without a
 * size (hand-written assembly) reaches to the next symbol or the end of its
 * section.
 */
#include "daemon/scribe/symtab.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gelf.h>

#include "profd/base.h"

#define SYMTAB_MAX_ENTRIES (8u << 20)
#define SYMTAB_MAX_STEPS   32 /* back over symbols that end before the address */

struct symtab_raw {
	struct symtab_entry entry;
	uint64_t limit; /* end of its section, for one without a size */
	unsigned rank;	/* the smaller, the better */
};

struct symtab {
	struct symtab_entry *entries; /* by start, one each */
	size_t n;
};

/* Local names lose to global ones, then underscores count: __read, read. */
static unsigned rank_symbol(const GElf_Sym *sym, const char *name)
{
	unsigned rank = 0;

	switch (GELF_ST_BIND(sym->st_info)) {
	case STB_GLOBAL:
	case STB_WEAK:
		break;
	default:
		rank += 100;
	}
	if (GELF_ST_TYPE(sym->st_info) == STT_NOTYPE)
		rank += 200;
	for (unsigned i = 0; i < 10 && name[i] == '_'; i++)
		rank++;
	return rank;
}

/* Labels that the assembler left behind are no functions. */
static bool is_function(const GElf_Sym *sym, const GElf_Shdr *section, const char *name)
{
	if (sym->st_shndx == SHN_UNDEF || !name || name[0] == '\0')
		return false;
	switch (GELF_ST_TYPE(sym->st_info)) {
	case STT_FUNC:
	case STT_GNU_IFUNC:
		return true;
	case STT_NOTYPE:
		return section && (section->sh_flags & SHF_EXECINSTR) && name[0] != '.' &&
		       name[0] != '$';
	default:
		return false;
	}
}

static int compare_raw(const void *pa, const void *pb)
{
	const struct symtab_raw *a = pa, *b = pb;
	size_t na, nb;

	if (a->entry.start != b->entry.start)
		return a->entry.start < b->entry.start ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	na = strlen(a->entry.name);
	nb = strlen(b->entry.name);
	if (na != nb)
		return na < nb ? -1 : 1;
	return strcmp(a->entry.name, b->entry.name);
}

/* The first of each start is its best. An alias may know the size that the best
 * lacks. */
static size_t keep_best(struct symtab_raw *raw, size_t n, struct symtab_entry *entries)
{
	size_t kept = 0;
	uint64_t next;

	for (size_t i = 0, j; i < n; i = j) {
		struct symtab_entry *entry = &entries[kept++];

		*entry = raw[i].entry;
		for (j = i + 1; j < n && raw[j].entry.start == raw[i].entry.start; j++)
			entry->end = max(entry->end, raw[j].entry.end);
		if (entry->end == entry->start) {
			next = j < n ? raw[j].entry.start : UINT64_MAX;
			entry->end = min(next, raw[i].limit);
		}
	}
	return kept;
}

static Elf_Scn *find_section(Elf *elf, GElf_Word type, GElf_Shdr *ret_header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, ret_header) && ret_header->sh_type == type)
			return section;
	return NULL;
}

/* One file's symbols. */
struct symtab_part {
	Elf *elf;
	GElf_Shdr header;
	Elf_Data *data;
	size_t n;
};

static struct symtab_part find_part(Elf *elf)
{
	struct symtab_part part = {.elf = elf};
	Elf_Scn *section = find_section(elf, SHT_SYMTAB, &part.header);

	if (!section)
		section = find_section(elf, SHT_DYNSYM, &part.header);
	if (section && !(part.header.sh_flags & SHF_COMPRESSED))
		part.data = elf_getdata(section, NULL);
	if (part.data)
		part.n = part.data->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	part.n = min(part.n, (size_t)SYMTAB_MAX_ENTRIES);
	return part;
}

static size_t read_symbols(const struct symtab_part *part, struct symtab_raw *raw)
{
	GElf_Shdr section_header, *section;
	GElf_Sym sym;
	const char *name;
	size_t n = 0;

	for (size_t i = 0; i < part->n; i++) {
		if (!gelf_getsym(part->data, (int)i, &sym))
			break;
		section = gelf_getshdr(elf_getscn(part->elf, sym.st_shndx), &section_header);
		name = elf_strptr(part->elf, part->header.sh_link, sym.st_name);
		if (!is_function(&sym, section, name))
			continue;
		raw[n].entry.start = sym.st_value;
		raw[n].entry.end = sym.st_value + sym.st_size;
		if (raw[n].entry.end < sym.st_value)
			continue;
		raw[n].entry.name = name;
		raw[n].limit = section ? section->sh_addr + section->sh_size : 0;
		raw[n].rank = rank_symbol(&sym, name);
		n++;
	}
	return n;
}

static int read_parts(struct symtab *symtab, const struct symtab_part *parts, size_t n_parts)
{
	_cleanup_free_ struct symtab_raw *raw = NULL;
	size_t room = 0, n = 0;

	for (size_t i = 0; i < n_parts; i++)
		room += parts[i].n;
	if (room == 0)
		return 0;
	raw = calloc(room, sizeof(*raw));
	if (!raw)
		return -ENOMEM;
	for (size_t i = 0; i < n_parts; i++)
		n += read_symbols(&parts[i], raw + n);
	qsort(raw, n, sizeof(*raw), compare_raw);
	symtab->entries = calloc(n + 1, sizeof(*symtab->entries));
	if (!symtab->entries)
		return -ENOMEM;
	symtab->n = keep_best(raw, n, symtab->entries);
	return 0;
}

int symtab_new(Elf *const *elfs, size_t n_elfs, struct symtab **ret_symtab)
{
	struct symtab_part parts[SYMTAB_MAX_PARTS];
	struct symtab *symtab;
	int r;

	assert(n_elfs <= SYMTAB_MAX_PARTS);
	symtab = calloc(1, sizeof(*symtab));
	if (!symtab)
		return -ENOMEM;
	for (size_t i = 0; i < n_elfs; i++)
		parts[i] = find_part(elfs[i]);
	r = read_parts(symtab, parts, n_elfs);
	if (r < 0) {
		symtab_free(symtab);
		return r;
	}
	*ret_symtab = symtab;
	return 0;
}

void symtab_free(struct symtab *symtab)
{
	if (!symtab)
		return;
	free(symtab->entries);
	free(symtab);
}

size_t symtab_count(const struct symtab *symtab)
{
	return symtab->n;
}

/* The number of entries that begin at or before @vaddr. */
static size_t count_before(const struct symtab *symtab, uint64_t vaddr)
{
	size_t low = 0, high = symtab->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (symtab->entries[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct symtab_entry *symtab_find(const struct symtab *symtab, uint64_t vaddr)
{
	size_t n = count_before(symtab, vaddr);

	for (unsigned i = 0; i < SYMTAB_MAX_STEPS && n > 0; i++)
		if (vaddr < symtab->entries[--n].end)
			return &symtab->entries[n];
	return NULL;
}

const struct symtab_entry *symtab_find_start(const struct symtab *symtab, uint64_t vaddr)
{
	size_t n = count_before(symtab, vaddr);

	if (n == 0 || symtab->entries[n - 1].start != vaddr)
		return NULL;
	return &symtab->entries[n - 1];
}
