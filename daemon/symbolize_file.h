/*
 * Names for a profile that was published without them: later, and on any machine that
 * has the files.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/module.h"

#define SYMBOLIZE_FILE_MAX_LACKING 512

struct symbolize_file_counts {
	uint32_t locations, named;
	uint32_t mappings, found; /* of files, and those whose file, or debug file, is here */
	/* Build-ids of debug files that are not here and would tell more, in hex. */
	char lacking[SYMBOLIZE_FILE_MAX_LACKING][2 * MODULE_BUILD_ID_MAX + 1];
	size_t n_lacking;
};

/*
 * Reads a profile from @in_fd and writes it, with what names can be had, to @out_fd.
 * A mapping's file is known by its build-id, never by its path alone; it is looked for
 * below @dirs, in the debug directories and where it was mapped from. The names are
 * given by a scribe of ours, which is what parses the files. Returns 0 or -errno;
 * -EBADMSG: not a profile.
 */
int symbolize_file(int in_fd, int out_fd, char *const *dirs, size_t n_dirs,
		   struct symbolize_file_counts *ret_counts);
