/*
 * The module table from inside: shared by module.c (the index), module-file.c
 * (the files), perf-map.c (names of generated code) and module-sweep.c (letting go),
 * and by nobody else.
 */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "daemon/proc/module.h"
#include "profd/limits.h"

enum name_tag { NAME_BUILD_ID = 'B', NAME_FILE = 'F', NAME_JIT = 'J', NAME_TEXT = 'T' };

struct name {
	UT_hash_handle hh;
	struct module *module;
	unsigned bytes;
	uint8_t key[];
};

struct name_key { /* a name being put together */
	unsigned bytes;
	uint8_t key[1 + 2 * sizeof(uint64_t) + PROFD_MAX_PATH];
};

struct module_table {
	struct module **modules; /* by id */
	size_t n, room;
	uint32_t last_id;
	uint64_t swept_ns; /* when, last */
	uint64_t freed;
	struct name *names;
	uint64_t refused;
	size_t open_fds;
	size_t cfi_bytes;
	uint64_t cfi_clock;
	size_t n_perf_maps; /* held open */
	uint64_t perf_maps_refused;
};

/* It must be off the table already. */
void module_free(struct module_table *table, struct module *m);
/* Lets go of the copies that module_cfi() made. */
void module_drop_cfi(struct module_table *table, struct module *m);

void name_key_start(struct name_key *k, enum name_tag tag);
void name_key_add(struct name_key *k, const void *bytes, size_t n); /* the caller checks the room */

struct name *module_find_name(struct module_table *table, const struct name_key *k);

/* Leads the name to @module, whatever it led to before. Returns 0 or -ENOMEM. */
int module_set_name(struct module_table *table, const struct name_key *k, struct module *module);
void module_redirect_names(struct module_table *table, const struct module *from,
			   struct module *to);

/* The module of @kind that is known by nothing but its text. */
struct module *module_get_text(struct module_table *table, enum module_kind kind, const char *text);
