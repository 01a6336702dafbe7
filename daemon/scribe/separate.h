/*
 * Finding the debug files of a module, for a scribe that opens nothing itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/module.h"

struct separate {
	int debug_fd; /* -1: none */
	int alt_fd;   /* of the debug file, or else of the module; -1: none */
	bool check_crc;
	uint32_t crc;
	bool incomplete; /* there could be one that was not found */
	uint8_t missing[MODULE_BUILD_ID_MAX];
	size_t missing_bytes; /* by which build-id, as far as that is known */
};

struct separate_counts {
	uint64_t found;
	uint64_t refused; /* there was a file, and it was not the right one, or not to be trusted */
};

/* Whatever is missing or wrong, the module can do without. */
void separate_find(struct keeper *keeper, const struct module *module,
		   struct separate_counts *counts, struct separate *ret_separate);

/* A file of split units of @module: a .dwo file by the path that the module has for it, or
 * the module's package where @name is "". A descriptor or -ENOENT. */
int separate_find_split(struct keeper *keeper, const struct module *module, const char *name,
			struct separate_counts *counts);
void separate_done(struct separate *separate);
