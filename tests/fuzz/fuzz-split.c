/*
 * Any bytes as a file of split units, or a package of them; the last eight are the id of the
 * unit that is looked for. Its functions are walked through as the scribe does.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/scribe/function.h"
#include "daemon/scribe/split.h"

#define MAX_ENTRIES 200
#define MAX_RANGES  50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(Dwarf_Die *die, const struct function_files *files, const struct symtab *symtab)
{
	Dwarf_Die chain[SYMBOL_MAX_LINES];
	Dwarf_Addr base, low = 0, high;
	ptrdiff_t offset = 0;
	const char *file;
	int64_t line;
	size_t n;

	(void)function_name(die, symtab);
	for (unsigned i = 0; i < MAX_RANGES; i++)
		if ((offset = dwarf_ranges(die, offset, &base, &low, &high)) <= 0)
			break;
	n = function_chain(die, low, chain);
	for (size_t i = 0; i < n; i++) {
		function_call_site(&chain[i], files, &file, &line);
		if (line < 0 || function_start_line(&chain[i], files, file) < 0)
			abort();
	}
}

static void walk(const struct split *split)
{
	Dwarf_Die die, root = split_root(split);
	struct function_files files = {.only = true};
	struct symtab *symtab;

	if (!split_files(split, &files.table, &files.n))
		files.table = NULL;
	if (symtab_new(NULL, 0, &symtab) < 0)
		return;
	if (dwarf_child(&root, &die) == 0)
		for (unsigned i = 0; i < MAX_ENTRIES; i++) {
			look_at(&die, &files, symtab);
			if (dwarf_siblingof(&die, &die) != 0)
				break;
		}
	symtab_free(symtab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* What the skeleton has: addresses that make sense, and any ranges. */
	static uint64_t addresses[64];
	struct split_skeleton skeleton = {.name = "fuzz.dwo", .base = 0x1000};
	struct split_file *file;
	struct split *split;
	int fd;

	if (size < sizeof(skeleton.id))
		return 0;
	size -= sizeof(skeleton.id);
	memcpy(&skeleton.id, data + size, sizeof(skeleton.id));
	for (unsigned i = 0; i < 64; i++)
		addresses[i] = 0x1000 + 16 * i;
	skeleton.addresses.d_buf = addresses;
	skeleton.addresses.d_size = sizeof(addresses);
	skeleton.ranges.d_buf = (void *)data;
	skeleton.ranges.d_size = size;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (split_file_open(fd, &file) < 0)
		return 0;
	if (split_new(file, &skeleton, &split) == 0) {
		walk(split);
		split_free(split);
	}
	split_file_close(file);
	return 0;
}
