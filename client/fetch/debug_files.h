/*
 * Debug files from debuginfod servers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct debug_files {
	const char *dir;
	char **urls; /* of servers; one that cannot be reached becomes NULL */
	size_t n_urls;
	uint64_t max_file_bytes;
};

/* Asks for URL/buildid/ID/debuginfo, for each build-id that standard input has, one a
 * line, of one server after the other, and writes what it gets to
 * DIR/.build-id/xx/yyyy.debug. Says on standard error which server failed, and why. Adds
 * to *n_files how many it wrote, also on failure. Returns 0 or -errno. */
int debug_files_fetch(const struct debug_files *wanted, unsigned *n_files);
