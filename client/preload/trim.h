/*
 * Making the allocator give free memory back, and its own numbers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profd/heap_table.h"

/* Finds out which allocator is behind malloc. Once, at start. */
void trim_init(void);

/* True: the C library's own allocator is the one in use. After trim_init(). */
bool trim_is_glibc(void);

/* On the service thread: purges, unless more than @budget_bytes are free, and
 * fills all of *ret_reply but its seq. */
void trim_run(uint64_t budget_bytes, struct heap_reply *ret_reply);
