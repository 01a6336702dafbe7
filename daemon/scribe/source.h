/*
 * Modules as the scribe knows them: a descriptor each, opened and parsed when
 * an address in it is first asked about, let go when memory gets short.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/scribe/image.h"
#include "daemon/scribe/symbol.h"

enum source_kind {
	SOURCE_ELF,
	SOURCE_KALLSYMS,
	SOURCE_PERF_MAP,
};

struct source;
struct source_table;

int source_table_new(struct source_table **ret_table);
void source_table_free(struct source_table *table);

/* Who opens files of split units of the module @id (splits.h). Without it, nobody. */
void source_table_set_opener(struct source_table *table,
			     int (*open)(uint32_t id, const char *name, void *userdata),
			     void *userdata);

/* Takes @fd over, also on failure. An id that is there already is replaced.
 * Returns 0, -ENOSPC or -ENOMEM. */
int source_add(struct source_table *table, uint32_t id, enum source_kind kind, int fd);
/* What else there is of the module @id. Takes the descriptors over. */
void source_set_debug(struct source_table *table, uint32_t id, const struct image_debug *debug);
void source_remove(struct source_table *table, uint32_t id);
struct source *source_find(struct source_table *table, uint32_t id); /* NULL: not known */

/* Names @offset: of the file, or for the kernel an address. *ret_vaddr: the
 * file's own address for it, or @offset where that is not known; always set.
 * Returns 0; -ENOENT: no name; other errors: the module cannot be read. */
int source_name(struct source_table *table, struct source *source, uint64_t offset, bool lines,
		struct symbol *symbol, uint64_t *ret_vaddr);

/* False: what it answers is not to be kept, as it may not be all (image_is_whole()). */
bool source_is_whole(const struct source *source);

/* How many parts of modules (debug files, packed sections) were refused since the last
 * time this was asked. */
unsigned source_take_refused(struct source_table *table);

/* Between jobs: closes what is open if too much memory is held, and what is not whole, for
 * that may be another time. */
void source_table_trim(struct source_table *table);
