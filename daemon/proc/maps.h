/*
 * The text of /proc/PID/maps, line by line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maps_entry {
	uint64_t start, end, file_offset;
	uint32_t major, minor;
	uint64_t inode;
	bool executable;
	const char *path; /* "" when it has none; newlines as they are, " (deleted)" still on it */
};

/* Returns non-zero to stop. */
typedef int (*maps_each_t)(const struct maps_entry *entry, void *userdata);

/* Parses one line, without its newline, in place: the path is unescaped where
 * it stands. Returns 0 or -EBADMSG. */
int maps_parse_line(char *line, struct maps_entry *ret_entry);

/* Calls @each for every line of @fd that is well formed; others are skipped and
 * added to *ret_malformed (may be NULL). Returns 0, -errno of reading, -EFBIG
 * after 64 MiB, or what @each returned. */
int maps_read(int fd, maps_each_t each, void *userdata, uint64_t *ret_malformed);
