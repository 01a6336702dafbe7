/*
 * Stacks and buckets, each kept once in the table and found again by hash.
 */
#pragma once

#include <stdint.h>

#include "profd/heap_table.h"

#define INTERN_NONE UINT32_MAX /* the region is full */

/* The index of the calling thread's stack, from the caller of the interposed
 * function outwards, under the thread's labels. Walks it from @regs, as walk_stack(). */
uint32_t intern_stack(const uint64_t *regs);

/* The same of a kind other than the heap's, which may take half of the room, and
 * without labels. */
uint32_t intern_stack_of(enum heap_kind kind, const uint64_t *regs);

/* The index of the stack, of HEAP_KIND_CPU, that a signal interrupted; @context is
 * what its handler was given. */
uint32_t intern_interrupted(const void *context);

/* The index of the bucket of @stack and @size_class. */
uint32_t intern_bucket(uint32_t stack, uint64_t size_class);
