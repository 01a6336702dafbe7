/*
 * Any bytes as the table of functions of a Go program (.gopclntab): rows, of the file, and
 * names, of a copy of just its size. The first two are an address to ask for, the rest is
 * the file; the table is all of it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/scribe/go_names.h"
#include "daemon/stack/go_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct module *module, uint64_t vaddr)
{
	struct cfi_row row;
	int r = go_table_find_row(module, vaddr, &row);

	if (r < 0) {
		assert(r == -ENOENT || r == -EBADMSG || r == -ENOTSUP || r == -EXDEV);
		return;
	}
	assert(row.start <= vaddr && vaddr < row.end);
	assert(row.kind == CFI_ROW_OFFSET || row.kind == CFI_ROW_END || row.kind == CFI_ROW_SIGNAL);
	assert(row.kind != CFI_ROW_OFFSET || (row.cfa_offset >= 8 && row.ra_offset == -8));
}

static void name(const struct go_names *names, uint64_t vaddr)
{
	struct symbol symbol = {};
	int r = go_names_find(names, vaddr, &symbol);

	assert(r == 0 || r == -ENOENT);
	assert(symbol.n == (r == 0));
	if (r == 0)
		assert(symbol.lines[0].name[0] != '\0' && symbol.lines[0].line >= 0 &&
		       symbol.lines[0].start_line >= 0 && strlen(symbol.lines[0].file) < SIZE_MAX);
	symbol_done(&symbol);
}

static void ask_names(const uint8_t *data, size_t size, uint64_t vaddr)
{
	uint8_t *copy = malloc(size + !size);
	struct go_names *names;

	if (!copy)
		return;
	memcpy(copy, data, size);
	if (go_names_new_table(copy, size, &names) == 0) {
		name(names, vaddr);
		name(names, 0x1000 + vaddr % 64);
		go_names_free(names);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct module module = {.kind = MODULE_FILE};
	uint16_t vaddr;

	if (size < sizeof(vaddr))
		return 0;
	memcpy(&vaddr, data, sizeof(vaddr));
	data += sizeof(vaddr);
	size -= sizeof(vaddr);
	ask_names(data, size, vaddr);
	module.fd = memfd_create("go-table", MFD_CLOEXEC);
	if (module.fd < 0)
		return 0;
	module.go_table.bytes = size;
	if (write(module.fd, data, size) == (ssize_t)size) {
		ask(&module, vaddr);
		ask(&module, 0x1000 + vaddr % 64);
	}
	close(module.fd);
	return 0;
}
