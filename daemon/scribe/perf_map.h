/*
 * A perf-map: the names that a JIT compiler gave to its code. The program writes
 * the file itself, so it is anybody's text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/scribe/symbol.h"

struct perf_map;

/* Reads all of @fd, a regular file, at most PROFD_MAX_PERF_MAP_BYTES. Lines that are
 * not of the form "start size name" (both in hex) are left out. Returns 0, -EFBIG,
 * -ENOMEM or what read() said. */
int perf_map_new(int fd, struct perf_map **ret_map);
void perf_map_free(struct perf_map *map);

size_t perf_map_count(const struct perf_map *map);

/* Fills @symbol, whose strings live as long as the map. Of several pieces of code
 * at an address the one that was written last counts. Returns 0 or -ENOENT. */
int perf_map_find(const struct perf_map *map, uint64_t address, struct symbol *symbol);
