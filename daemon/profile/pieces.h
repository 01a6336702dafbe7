/*
 * The pieces of address space that a module's code lies in.
 */
#pragma once

#include "daemon/proc/module.h"
#include "daemon/profile/freeze.h"
#include "proto/array.h"

struct piece {
	struct module_place place;
	uint64_t base;	  /* its start in the profile */
	uint64_t mapping; /* pprof id; 0: not made yet */
};

struct pieces {
	ARRAY_TABLE(struct freeze_place) places; /* by module */
	ARRAY_TABLE(struct piece) pieces;	 /* of the module collected last */
};

/* @places are those of the profile's one process; n_places may be 0. Returns 0
 * or -ENOMEM; done with pieces_done() in any case. */
int pieces_init(struct pieces *p, struct module_table *modules, const struct freeze_place *places,
		size_t n_places);
void pieces_done(struct pieces *p);

/* Turns to @m: where the one process had it, then where it was first seen, then
 * where its program headers put it. Returns 0 or -ENOMEM. */
int pieces_collect(struct pieces *p, const struct module *m);

/* The first of these to hold the file offset, or NULL. */
struct piece *pieces_find(const struct pieces *p, uint64_t offset);
