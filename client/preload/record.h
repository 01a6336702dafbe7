/*
 * Adding to the sums of the calling thread's stack, for the kinds that have a count
 * and a sum of nanoseconds (profd/heap_table.h).
 */
#pragma once

#include <stdint.h>

#include "profd/heap_table.h"

/* @count in units of 1 / 2^HEAP_OBJECT_SHIFT, @ns of 1 / 2^HEAP_BYTE_SHIFT. The stack
 * begins with the caller of the interposed function. Keeps errno, makes no system
 * call, takes no lock and does not allocate. */
void record_note(enum heap_kind kind, uint64_t count, uint64_t ns);

/* The same, from what record_note() captures: its caller's registers (enum walk_reg). */
void record_take(enum heap_kind kind, uint64_t count, uint64_t ns, const uint64_t *regs);
