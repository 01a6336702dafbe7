/*
 * The live sampled objects, by address.
 *
 * A slot goes through: free (key 0) -> claimed (LIVE_CLAIMED, one thread's own)
 * -> live (key = address) -> claimed again by the one free or realloc that wins
 * it -> free. None of these functions blocks, allocates or touches errno.
 */
#pragma once

#include <stdint.h>

#include "profd/heap_table.h"

#define LIVE_NONE    UINT32_MAX
#define LIVE_CLAIMED 1 /* a key that is no address */

/* Finds a free slot for @p and claims it. LIVE_NONE: there is none. */
uint32_t live_claim(const void *p);
void live_release(uint32_t slot); /* what was claimed is not wanted */

/* The claimed slot becomes live: from now on live_take() finds it. */
void live_publish(uint32_t slot, void *p, const struct heap_live *value);

/* Claims the slot in which @p lives, if it was sampled. Of two that try (a
 * double free) one gets it. LIVE_NONE: not sampled. */
uint32_t live_take(const void *p);

/* What was taken has been freed: counts that, and the slot is free. */
void live_drop(uint32_t slot);
void live_restore(uint32_t slot, const void *p); /* it was not: a realloc failed */

/* The slots of generations in use, and of those that could be. */
uint32_t live_used_slots(void);
