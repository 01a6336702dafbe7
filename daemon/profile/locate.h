/*
 * Frames to pprof locations: gives every module that is used its mappings, and
 * every frame an address in one of them.
 */
#pragma once

#include <stdbool.h>

#include "daemon/proc/module.h"
#include "daemon/profile/freeze.h"
#include "daemon/proc/sample.h"
#include "proto/pprof.h"

struct locate {
	struct module_table *modules;
	const struct frame *frames; /* distinct */
	const bool *used;	    /* those to be located */
	size_t n_frames;
	const struct freeze_place *places; /* as in struct freeze */
	size_t n_places;
	uint32_t main_module;
};

/* Fills ret_locations[n_frames] with location ids (0: not used), and tells the
 * module of each mapping, malloc'd. Returns 0 or -errno. */
int locate_frames(const struct locate *how, struct pprof *p, uint64_t *ret_locations,
		  uint32_t **ret_modules, size_t *ret_n_modules);
