/*
 * Any bytes as a perf-map. What is found has to be fit to be shown, and an entry
 * that holds the address asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/scribe/perf_map.h"
#include "profd/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct perf_map *map, uint64_t address)
{
	struct symbol symbol = {};

	if (perf_map_find(map, address, &symbol) < 0)
		return;
	if (symbol.n != 1 || strlen(symbol.lines[0].name) > PROFD_MAX_PERF_MAP_NAME)
		abort();
	for (const char *s = symbol.lines[0].name; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
	symbol_done(&symbol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("perf-map", MFD_CLOEXEC);
	struct perf_map *map;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) == (ssize_t)size && perf_map_new(fd, &map) == 0) {
		if (perf_map_count(map) > size / 5)
			abort();
		for (uint64_t address = 0; address < 64; address++) {
			ask(map, address);
			ask(map, 0x1000 + address);
			ask(map, -address);
		}
		perf_map_free(map);
	}
	close(fd);
	return 0;
}
