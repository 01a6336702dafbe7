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

static size_t read_symbols(Elf *elf, Elf_Data *data, const GElf_Shdr *header,
			   struct symtab_raw *raw, size_t room)
{
	GElf_Shdr section_header, *section;
	GElf_Sym sym;
	const char *name;
	size_t n = 0;

	for (size_t i = 0; i < room; i++) {
		if (!gelf_getsym(data, (int)i, &sym))
			break;
		section = gelf_getshdr(elf_getscn(elf, sym.st_shndx), &section_header);
		name = elf_strptr(elf, header->sh_link, sym.st_name);
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

int symtab_new(Elf *elf, struct symtab **ret_symtab)
{
	_cleanup_free_ struct symtab_raw *raw = NULL;
	_cleanup_free_ struct symtab *symtab = NULL;
	GElf_Shdr header;
	Elf_Scn *section;
	Elf_Data *data;
	size_t n;

	symtab = calloc(1, sizeof(*symtab));
	if (!symtab)
		return -ENOMEM;
	section = find_section(elf, SHT_SYMTAB, &header);
	if (!section)
		section = find_section(elf, SHT_DYNSYM, &header);
	data = section ? elf_getdata(section, NULL) : NULL;
	n = data ? data->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT) : 0;
	n = min(n, (size_t)SYMTAB_MAX_ENTRIES);
	if (n > 0) {
		raw = calloc(n, sizeof(*raw));
		if (!raw)
			return -ENOMEM;
		n = read_symbols(elf, data, &header, raw, n);
		qsort(raw, n, sizeof(*raw), compare_raw);
		symtab->entries = calloc(n + 1, sizeof(*symtab->entries));
		if (!symtab->entries)
			return -ENOMEM;
		symtab->n = keep_best(raw, n, symtab->entries);
	}
	*ret_symtab = take_ptr(symtab);
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
