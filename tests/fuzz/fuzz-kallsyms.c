/*
 * Any bytes as /proc/kallsyms, asked about the addresses that its lines name and
 * those right behind them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/scribe/kallsyms.h"

#define N_LINES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct kallsyms *kallsyms, uint64_t address)
{
	struct symbol symbol = {};

	if (kallsyms_find(kallsyms, address, &symbol) == 0 &&
	    (symbol.n != 1 || symbol.lines[0].name[0] == '\0' || symbol.lines[0].file[0] != '['))
		abort();
	symbol_done(&symbol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct kallsyms *kallsyms;
	char *text, *line;

	if (fd < 0)
		return 0;
	text = malloc(size + 1);
	if (text && write(fd, data, size) == (ssize_t)size && kallsyms_new(fd, &kallsyms) == 0) {
		memcpy(text, data, size);
		text[size] = '\0';
		line = text;
		for (unsigned i = 0; line && i < N_LINES; i++) {
			uint64_t address = strtoull(line, NULL, 16);

			ask(kallsyms, address);
			ask(kallsyms, address + 1);
			ask(kallsyms, address - 1);
			line = strchr(line, '\n');
			line = line ? line + 1 : NULL;
		}
		kallsyms_free(kallsyms);
	}
	free(text);
	close(fd);
	return 0;
}
