/*
 * Debug files from debuginfod servers, fetched by profd-fetch into a directory of ours.
 */
#pragma once

#include <stddef.h>

struct fetched {
	char *dir; /* NULL: none yet. Removed at the end, with all in it */
};

/* Fetches those of @ids that the servers have. Returns how many, or -errno, reported. */
int fetch_debug_files(struct fetched *fetched, char *const *urls, size_t n_urls, char *const *ids,
		      size_t n_ids);
void fetched_done(struct fetched *fetched);
