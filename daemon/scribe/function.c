/*
 * Below a function the tree of entries is searched by address: lexical blocks
 * are passed through, inlined subroutines are collected. What an inlined
 * subroutine is called is said by the abstract entry that it points to.
 *
 * Every block that holds the address is looked into, not the first alone: of code
 * that was moved, optimizers leave blocks side by side that overlap, and the inlined
 * call is in one of them. The way with the most calls is taken, of several the first.
 */
#include "daemon/scribe/function.h"

#include <dwarf.h>
#include <stdbool.h>
#include <string.h>

#include "profd/base.h"

#define FUNCTION_MAX_ENTRIES (1u << 26) /* looked at for one address */
#define FUNCTION_MAX_DEPTH   256

struct search {
	uint64_t vaddr;
	unsigned budget;
	Dwarf_Die path[FUNCTION_MAX_DEPTH + 1], best[FUNCTION_MAX_DEPTH + 1];
	size_t n_best;
};

static bool holds(Dwarf_Die *die, int tag, uint64_t vaddr)
{
	switch (tag) {
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_with_stmt:
		return dwarf_haspc(die, vaddr) == 1;
	default:
		return false;
	}
}

/* The first @n of the path lead to @parent. */
static void search_below(struct search *s, Dwarf_Die *parent, size_t n, unsigned depth)
{
	Dwarf_Die die;
	int tag;

	if (n > s->n_best) {
		memcpy(s->best, s->path, n * sizeof(*s->best));
		s->n_best = n;
	}
	if (depth == 0 || dwarf_child(parent, &die) != 0)
		return;
	do {
		if (s->budget == 0)
			return;
		s->budget--;
		tag = dwarf_tag(&die);
		if (!holds(&die, tag, s->vaddr))
			continue;
		s->path[n] = die;
		search_below(s, &die, n + (tag == DW_TAG_inlined_subroutine), depth - 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

size_t function_chain(Dwarf_Die *function, uint64_t vaddr, Dwarf_Die chain[SYMBOL_MAX_LINES])
{
	struct search s = {.vaddr = vaddr, .budget = FUNCTION_MAX_ENTRIES, .path = {*function}};
	size_t n;

	search_below(&s, function, 1, FUNCTION_MAX_DEPTH);
	n = min(s.n_best, (size_t)SYMBOL_MAX_LINES);
	memcpy(chain, s.best + s.n_best - n, n * sizeof(*chain));
	return n;
}

static int64_t read_number(Dwarf_Die *die, unsigned attribute)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, attribute, &attr) || dwarf_formudata(&attr, &value) != 0)
		return 0;
	return value <= INT32_MAX ? (int64_t)value : 0;
}

static const char *read_linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name && name[0] != '\0' ? name : NULL;
}

static bool is_mangled(const char *name)
{
	return strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
}

/* "name.part.0" of "name": what the optimizer split off. */
static bool is_clone(const char *symbol, const char *linkage)
{
	size_t n = strlen(linkage);

	return strncmp(symbol, linkage, n) == 0 && symbol[n] == '.';
}

/* An assembler makes an entry of each label, all of them with the same code. */
static bool is_assembly(Dwarf_Die *die)
{
	Dwarf_Die root;

	return dwarf_diecu(die, &root, NULL, NULL) &&
	       dwarf_srclang(&root) == DW_LANG_Mips_Assembler;
}

const char *function_name(Dwarf_Die *die, const struct symtab *symtab)
{
	const struct symtab_entry *entry = NULL;
	const char *linkage = read_linkage_name(die), *name;
	Dwarf_Addr start;

	if (linkage && is_mangled(linkage))
		return linkage;
	if (dwarf_tag(die) == DW_TAG_subprogram && dwarf_entrypc(die, &start) == 0)
		entry = symtab_find_start(symtab, start);
	/* An alias in C (__GI___libc_malloc), of which the table knows the best (malloc). */
	if (entry && (linkage ? !is_clone(entry->name, linkage)
			      : is_mangled(entry->name) || is_assembly(die)))
		return entry->name;
	name = dwarf_diename(die);
	return name && name[0] != '\0' ? name : linkage;
}

static const char *get_file(const struct function_files *files, int64_t number)
{
	if (!files->table || (uint64_t)number >= files->n)
		return NULL;
	return dwarf_filesrc(files->table, (size_t)number, NULL, NULL);
}

static const char *declared_file(Dwarf_Die *die, const struct function_files *files)
{
	Dwarf_Attribute attr;
	Dwarf_Word number;

	if (!files->only)
		return dwarf_decl_file(die);
	if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attr) ||
	    dwarf_formudata(&attr, &number) != 0 || number > INT32_MAX)
		return NULL;
	return get_file(files, (int64_t)number);
}

int64_t function_start_line(Dwarf_Die *die, const struct function_files *files, const char *file)
{
	const char *declared = declared_file(die, files);
	int line;

	if (!declared || !file || strcmp(declared, file) != 0 || dwarf_decl_line(die, &line) != 0)
		return 0;
	return max(line, 0);
}

void function_call_site(Dwarf_Die *die, const struct function_files *files, const char **ret_file,
			int64_t *ret_line)
{
	*ret_file = get_file(files, read_number(die, DW_AT_call_file));
	*ret_line = read_number(die, DW_AT_call_line);
}
