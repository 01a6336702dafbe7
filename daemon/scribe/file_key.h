/*
 * Which file a module is, whatever number the module has today: what answers are
 * cached under, and what is kept in quarantine. The build-id; for a file without
 * one, device, inode and generation; for what has neither (the perf-map of a process)
 * the module's number after all.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/module.h"

#define FILE_KEY_MAX   (1 + 5 * 8)	   /* a kind, and five numbers or a build-id */
#define FILE_KEY_PARTS (2 * 4 * 8 + 2 * 8) /* what two more files add, and numbers */
static_assert(FILE_KEY_MAX > MODULE_BUILD_ID_MAX, "a build-id fits in");

struct file_key {
	uint8_t bytes[FILE_KEY_MAX + FILE_KEY_PARTS];
	size_t n; /* 0: not known */
};

/* The engine's: of what it knows. */
void file_key_of_module(const struct module *module, struct file_key *ret_key);

/* The scribe's: makes of the engine's key (@bytes, @n) one for what @fd holds now.
 * A file with a build-id is what it is; any other may have been written to since,
 * so size and time of change go in too. Empty: answers are not to be kept; so it is
 * for a module that is known by its number, and for what is no key. */
void file_key_of_contents(const uint8_t *bytes, size_t n, int fd, struct file_key *ret_key);

/* Answers also depend on the debug files that were there: on which (@fd; by device,
 * inode, size and time of change), and on what else a number says: where the code lay if
 * one stands for the file itself. A key that is empty stays so. */
void file_key_add_part(struct file_key *key, int fd);
void file_key_add_number(struct file_key *key, uint64_t number);
