/*
 * The kernel's tracepoints by name, as tracefs lists them.
 */
#pragma once

#include <stdint.h>

#include "daemon/keeper/keeper.h"

/* The id of "SYSTEM:NAME", for perf_event_attr.config. Returns 0; -ENOENT: no
 * such tracepoint; -ENXIO: tracefs is not mounted; -EACCES: it may not be read;
 * -EINVAL: no name of a tracepoint. */
int tracepoint_find(struct keeper *keeper, const char *system, const char *name, uint64_t *ret_id);
