/*
 * The files in which split units are: internal to split*.c.
 */
#pragma once

#include <elfutils/libdw.h>

#include "daemon/scribe/abbrev.h"
#include "daemon/scribe/split.h"

enum split_part {
	SPLIT_INFO,
	SPLIT_ABBREV,
	SPLIT_STR,
	SPLIT_STR_OFFSETS,
	SPLIT_LINE,
	SPLIT_RNGLISTS,
	SPLIT_N_OF_FILE, /* so many are of the file, the others of the skeleton */
	SPLIT_ADDR = SPLIT_N_OF_FILE,
	SPLIT_RANGES,
	SPLIT_N_PARTS,
};

/* The sections' names, ".debug_info", without ".dwo": a table of strings as an ELF file has
 * one, as it begins with an empty string. Behind that they are in the order above. */
#define SPLIT_NAME_BYTES 20
extern const char split_names[1 + SPLIT_N_PARTS][SPLIT_NAME_BYTES];

/* What of the file's sections is the unit's: of a package its own part, else all.
 * @ret_parts: SPLIT_N_OF_FILE. Returns 0; -ENOENT: there is no such unit; -EBADMSG. */
int split_file_parts(const struct split_file *file, uint64_t unit_id, struct bytes *ret_parts);

/* Takes the next unit off @info. False: there are no more. */
bool split_take_unit(struct bytes *info, struct bytes *ret_unit);
#define SPLIT_MIN_UNIT_BYTES 12
