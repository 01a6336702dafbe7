/*
 * Two tables of ranges lead to a function. The first, made at once from the
 * root of each compile unit, says which unit holds an address: it reads one
 * entry a unit, so a big file opens fast, and unlike .debug_aranges every
 * compiler provides for it. The second, made when a unit is first asked about,
 * holds the unit's functions; that walk is the expensive part and most units
 * of a big program are never met in a profile.
 *
 * The innermost frame's place comes from the line table; each inlined call
 * (function.h) says where it was called from, and that is the place of the frame
 * around it.
 *
 * Every loop over entries of the file is bounded: sibling links may point
 * backwards, trees may be as deep as their author likes.
 */
#include "daemon/scribe/debug.h"

#include <dwarf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elfutils/libdw.h>
#include <uthash.h>

#include "profd/base.h"
#include "daemon/scribe/function.h"
#include "daemon/scribe/range.h"
#include "daemon/scribe/section.h"
#include "daemon/scribe/transient.h"

#define DEBUG_MAX_UNITS	  (1u << 20)
#define DEBUG_MAX_RANGES  (1u << 20) /* of one entry */
#define DEBUG_MAX_ENTRIES (1u << 26) /* looked at in one walk of a unit */
#define DEBUG_MAX_DEPTH	  256

struct debug_path { /* made whole with the unit's directory */
	UT_hash_handle hh;
	const char *relative; /* libdw's; the same string has the same address */
	char absolute[];
};

struct debug_unit {
	Dwarf_Die root;
	Dwarf *dwarf; /* where its functions are: not where its root is, if it is split */
	bool loaded;
	struct function_files files;
	const char *directory; /* NULL: not known */
	struct debug_path *paths;
	struct range_table functions; /* value: offset of the entry */
};

struct debug {
	Dwarf *dwarf, *alt;
	struct splits *splits;
	const struct symtab *symtab;
	uint64_t text_low;
	struct debug_unit *units;
	size_t n_units, room_units;
	struct range_table unit_ranges; /* value: index into units */
	bool lacks;
};

/* Code that the linker dropped keeps its entry, at address 0 or thereabouts;
 * such ranges must not shadow real ones. */
static int add_ranges(struct debug *debug, Dwarf_Die *die, struct range_table *table,
		      uint64_t value)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t offset = 0;
	int r;

	for (unsigned i = 0; i < DEBUG_MAX_RANGES; i++) {
		offset = dwarf_ranges(die, offset, &base, &low, &high);
		if (offset <= 0)
			break;
		if (low >= high || low < debug->text_low)
			continue;
		r = range_table_add(table, low, high, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_unit(struct debug *debug, const Dwarf_Die *root)
{
	struct debug_unit *grown;
	size_t room;

	if (debug->n_units == debug->room_units) {
		room = max(debug->room_units * 2, (size_t)16);
		grown = reallocarray(debug->units, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		debug->units = grown;
		debug->room_units = room;
	}
	debug->units[debug->n_units] = (struct debug_unit){.root = *root, .dwarf = debug->dwarf};
	debug->n_units++;
	return 0;
}

/* A skeleton's functions are in another file, but its lines are here. */
static bool has_code(uint8_t type, Dwarf_Die *root)
{
	int tag = dwarf_tag(root);

	return (type == DW_UT_compile || type == DW_UT_skeleton) &&
	       (tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit);
}

static int read_units(struct debug *debug)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Half version;
	Dwarf_Die root;
	uint8_t type;
	int r;

	while (debug->n_units < DEBUG_MAX_UNITS &&
	       dwarf_get_units(debug->dwarf, unit, &unit, &version, &type, &root, NULL) == 0) {
		if (!has_code(type, &root))
			continue;
		r = add_unit(debug, &root);
		if (r < 0)
			return r;
		r = add_ranges(debug, &root, &debug->unit_ranges, debug->n_units - 1);
		if (r < 0)
			return r;
	}
	range_table_sort(&debug->unit_ranges);
	return 0;
}

static int open_dwarf(struct debug *debug, Elf *elf, Elf *alt)
{
	/* Without DWARF it sets no errno. */
	errno = 0;
	debug->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!debug->dwarf)
		return is_transient(-errno) ? -errno : -ENOENT;
	if (!alt)
		return 0;
	debug->alt = dwarf_begin_elf(alt, DWARF_C_READ, NULL);
	if (!debug->alt)
		return is_transient(-errno) ? -errno : -ENOENT;
	dwarf_setalt(debug->dwarf, debug->alt);
	return 0;
}

int debug_new(Elf *elf, Elf *alt, const struct symtab *symtab, uint64_t text_low,
	      const struct splits_opener *opener, struct debug **ret_debug)
{
	struct debug *debug;
	int r;

	/* libdw would open the path in that section by itself. */
	if (!alt && section_find(elf, ".gnu_debugaltlink"))
		return -ENOENT;
	debug = calloc(1, sizeof(*debug));
	if (!debug)
		return -ENOMEM;
	debug->symtab = symtab;
	debug->text_low = max(text_low, (uint64_t)1);
	r = open_dwarf(debug, elf, alt);
	if (r == 0)
		r = splits_new(elf, opener, &debug->splits);
	if (r == 0)
		r = read_units(debug);
	if (r == 0 && debug->unit_ranges.n == 0)
		r = -ENOENT;
	if (r < 0) {
		debug_free(debug);
		return r;
	}
	*ret_debug = debug;
	return 0;
}

static void unit_done(struct debug_unit *unit)
{
	struct debug_path *path, *next;

	HASH_ITER (hh, unit->paths, path, next) {
		HASH_DEL(unit->paths, path);
		free(path);
	}
	range_table_done(&unit->functions);
}

void debug_free(struct debug *debug)
{
	if (!debug)
		return;
	for (size_t i = 0; i < debug->n_units; i++)
		unit_done(&debug->units[i]);
	free(debug->units);
	range_table_done(&debug->unit_ranges);
	splits_free(debug->splits);
	dwarf_end(debug->dwarf);
	dwarf_end(debug->alt);
	free(debug);
}

/* Functions with code may sit in namespaces, in classes, and in functions:
 * members of local classes, lambdas, nested functions. */
static bool may_hold_functions(int tag)
{
	switch (tag) {
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		return true;
	default:
		return false;
	}
}

static int collect_functions(struct debug *debug, struct debug_unit *unit, Dwarf_Die *parent,
			     unsigned depth, unsigned *budget)
{
	Dwarf_Die die;
	int r, tag;

	if (depth == 0 || dwarf_child(parent, &die) != 0)
		return 0;
	do {
		if (--*budget == 0)
			return 0;
		tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram) {
			r = add_ranges(debug, &die, &unit->functions, dwarf_dieoffset(&die));
			if (r < 0)
				return r;
		}
		if (may_hold_functions(tag)) {
			r = collect_functions(debug, unit, &die, depth - 1, budget);
			if (r < 0)
				return r;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
	return 0;
}

static void load_unit(struct debug *debug, struct debug_unit *unit)
{
	struct split *split = splits_find(debug->splits, &unit->root);
	Dwarf_Die root = split ? split_root(split) : unit->root;
	struct function_files *files = &unit->files;
	unsigned budget = DEBUG_MAX_ENTRIES;
	Dwarf_Attribute attr;

	unit->loaded = true;
	if (dwarf_attr(&unit->root, DW_AT_comp_dir, &attr))
		unit->directory = dwarf_formstring(&attr);
	if (split)
		unit->dwarf = split_dwarf(split);
	files->only = split;
	if (!(split && split_files(split, &files->table, &files->n)) &&
	    dwarf_getsrcfiles(&unit->root, &files->table, &files->n) != 0)
		files->table = NULL;
	/* Out of memory: what was collected so far is true all the same. */
	if (collect_functions(debug, unit, &root, DEBUG_MAX_DEPTH, &budget) < 0)
		debug->lacks = true;
	range_table_sort(&unit->functions);
}

static struct debug_unit *find_unit(struct debug *debug, uint64_t vaddr)
{
	const struct range *range = range_table_find(&debug->unit_ranges, vaddr);
	struct debug_unit *unit;

	if (!range)
		return NULL;
	unit = &debug->units[range->value];
	if (!unit->loaded)
		load_unit(debug, unit);
	return unit;
}

/* A file name as the compiler was given it, below the directory it ran in. */
static const char *make_absolute(struct debug *debug, struct debug_unit *unit, const char *file)
{
	struct debug_path *path;
	size_t size;

	if (!file || file[0] == '/' || !unit->directory)
		return file;
	HASH_FIND_PTR(unit->paths, &file, path);
	if (path)
		return path->absolute;
	size = strlen(unit->directory) + strlen(file) + 2;
	path = malloc(sizeof(*path) + size);
	if (!path) {
		debug->lacks = true;
		return file;
	}
	path->relative = file;
	snprintf(path->absolute, size, "%s/%s", unit->directory, file);
	HASH_ADD_PTR(unit->paths, relative, path);
	return path->absolute;
}

static int push_chain(struct debug *debug, struct debug_unit *unit, Dwarf_Die *chain, size_t n,
		      const char *file, int64_t line, struct symbol *symbol)
{
	const char *name;
	int r;

	while (n-- > 0) {
		name = function_name(&chain[n], debug->symtab);
		r = symbol_push(symbol, name ? name : "??", make_absolute(debug, unit, file), line,
				function_start_line(&chain[n], &unit->files, file));
		if (r < 0)
			return r;
		function_call_site(&chain[n], &unit->files, &file, &line);
	}
	return 0;
}

int debug_find(struct debug *debug, uint64_t vaddr, struct symbol *symbol)
{
	struct debug_unit *unit = find_unit(debug, vaddr);
	Dwarf_Die function, chain[SYMBOL_MAX_LINES];
	const struct symtab_entry *entry;
	const struct range *range;
	const char *file = NULL;
	Dwarf_Line *source;
	int line = 0;

	if (!unit)
		return -ENOENT;
	source = dwarf_getsrc_die(&unit->root, vaddr);
	if (source) {
		file = dwarf_linesrc(source, NULL, NULL);
		/* The file may say anything, and a line is a positive number. */
		if (dwarf_lineno(source, &line) != 0 || line < 0)
			line = 0;
	}
	range = range_table_find(&unit->functions, vaddr);
	if (range && dwarf_offdie(unit->dwarf, range->value, &function))
		return push_chain(debug, unit, chain, function_chain(&function, vaddr, chain), file,
				  line, symbol);
	/* Assembly: lines, but no functions. */
	entry = symtab_find(debug->symtab, vaddr);
	if (!entry || !file)
		return -ENOENT;
	return symbol_push(symbol, entry->name, make_absolute(debug, unit, file), line, 0);
}

bool debug_lacks(const struct debug *debug)
{
	return debug->lacks || splits_lack(debug->splits);
}

unsigned debug_refused(const struct debug *debug)
{
	return splits_refused(debug->splits);
}

void debug_release_pages(const struct debug *debug)
{
	splits_release_pages(debug->splits);
}
