/*
 * Rows out of the table of functions that every Go program carries (proto/pclntab.h).
 * Go has no .eh_frame, and its frame pointers miss the caller of each function without
 * a frame.
 *
 * The table is read from the file, piece by piece, and nothing of it is kept:
 * the answers are (row_cache.h).
 */
#pragma once

#include <stdint.h>

#include "daemon/proc/module.h"
#include "proto/cfi.h"

/* As cfi_find_row(): 0 and the row; -ENOENT: no function there, or no such table;
 * -EBADMSG: malformed; -ENOTSUP: of another version, or machine; or an error of reading.
 * Also -EXDEV: a function in which the runtime changes stacks, so that the caller is on
 * another one. */
int go_table_find_row(const struct module *module, uint64_t vaddr, struct cfi_row *ret_row);
