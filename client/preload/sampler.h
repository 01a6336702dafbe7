/*
 * Deciding which allocations are sampled, and recording those that are.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* An allocation that the fast path did not settle: the next allocator returned
 * @p for @size bytes (NULL: it failed, which leaves the countdown alone). Keeps
 * errno, makes no system call, takes no lock and does not allocate. */
void sampler_note(void *p, size_t size);

/* The same, from what sampler_note() captures: its caller's registers (enum walk_reg). */
void sampler_take(void *p, size_t size, const uint64_t *regs);
