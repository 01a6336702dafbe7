/*
 * Modules: the files that code comes from, one struct each, however many
 * processes map them. A module is known by its build-id, or, where it has none,
 * by device and inode and path. Ids count up and are never reused, so that a
 * frame is (module id, offset) and outlives the process it was seen in, and so
 * that what is remembered by id never becomes wrong.
 *
 * Modules that nobody holds any more are freed, now and then, by the engine: it
 * asks every room that keeps modules or their ids over a return to the event
 * loop to name them (module_keep()), then calls module_sweep(). A module found
 * within one event may be used until that event has been handled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "proto/cfi.h"

#define MODULE_BUILD_ID_MAX 20
#define MODULE_SEGMENT_MAX  4

enum module_kind {
	MODULE_FILE,
	MODULE_KERNEL, /* offsets are run-time kernel addresses */
	MODULE_VDSO,
	MODULE_JIT,  /* code without a file; offsets are run-time addresses; one per process */
	MODULE_NOTE, /* a frame that is no code: its path is the text shown, "[truncated]" */
};

struct module_segment { /* an executable PT_LOAD */
	uint64_t vaddr, bytes, file_offset;
};

struct module_range { /* of a file; bytes 0: none */
	uint64_t offset, vaddr, bytes;
};

/* Where a segment was seen in memory: what a pprof Mapping says. */
struct module_place {
	uint64_t start, limit, file_offset;
};

struct module_key {
	dev_t dev;
	ino_t inode;
	uint64_t inode_generation;
	const uint8_t *build_id;
	size_t build_id_bytes; /* 0: not known (yet) */
};

struct module {
	uint32_t id;
	enum module_kind kind;
	char *path; /* as the first process that mapped it named it, without " (deleted)" */
	pid_t pid;  /* MODULE_JIT: whose; then fd is its perf-map */
	uint64_t start_ticks; /* likewise: of that process; 0: not known yet */

	uint8_t build_id[MODULE_BUILD_ID_MAX];
	size_t build_id_bytes;
	dev_t dev;
	ino_t inode;
	uint64_t inode_generation; /* 0: not known */

	bool opened;		 /* an attempt was made; fd says how it went */
	int fd;			 /* -1: could not be had */
	int error;		 /* why not, -errno */
	unsigned attempts;	 /* so far */
	unsigned passed;	 /* processes that had it mapped since the last attempt */
	pid_t attempt_pid;	 /* the last of these, or the one that it was made through */
	struct module *alias_of; /* not NULL: the module that this one turned out to be */
	bool kept, doomed;	 /* of the sweep under way */
	uint64_t used_ns;	 /* the last sweep in which somebody held it */
	unsigned n_segments;
	struct module_segment segments[MODULE_SEGMENT_MAX];

	bool only_debug; /* its file is a debug file alone, whose code was mapped from */
	uint64_t vaddr_minus_offset; /* so far below its addresses */

	unsigned n_places; /* first seen; for profiles of more than one process */
	struct module_place places[MODULE_SEGMENT_MAX];

	struct module_range eh_frame_hdr, eh_frame; /* in the file */
	struct module_range go_table;		    /* Go's own table of functions, in the file */
	bool cfi_loaded;
	uint8_t *cfi_bytes; /* copies that `cfi` points into */
	size_t cfi_size;
	uint64_t cfi_used; /* when last asked for, by the table's clock; a perf-map too */
	struct cfi_module cfi;
};

struct module_table;

int module_table_new(struct module_table **ret_table);
void module_table_free(struct module_table *table);

/* Finds or makes the module. Owned by the table. NULL: out of memory, or
 * PROFD_MAX_MODULES reached (counted). */
struct module *module_get_file(struct module_table *table, const char *path,
			       const struct module_key *key);
struct module *module_get_kernel(struct module_table *table);
struct module *module_get_vdso(struct module_table *table);
struct module *module_get_jit(struct module_table *table, pid_t pid);
struct module *module_get_note(struct module_table *table, const char *text);
/* Code without a file that @pid makes from now on is another program's. */
void module_forget_jit(struct module_table *table, pid_t pid);
struct module *module_by_id(struct module_table *table, uint32_t id); /* NULL: none, or freed */
size_t module_count(const struct module_table *table);
uint64_t module_table_refused(const struct module_table *table); /* modules beyond the limit */
size_t module_table_cfi_bytes(const struct module_table *table);
size_t module_table_open(const struct module_table *table); /* files held open */

/* Says that @module is held (and the one it is an alias of); by id, that it is
 * if it still exists. To be said anew for each sweep. */
void module_keep(struct module *module);
void module_keep_id(struct module_table *table, uint32_t id);

/* Frees the modules that were not kept since the last sweep, if nobody has held
 * them for PROFD_MODULE_IDLE_SECONDS, or at once where they are more than
 * PROFD_MAX_IDLE_MODULES or the table is crowded. @now_ns never goes back. */
void module_sweep(struct module_table *table, uint64_t now_ns);
uint64_t module_table_freed(const struct module_table *table);

/* A sweep is due ahead of its time: the table, or what may be open, is three
 * quarters full. */
bool module_table_is_crowded(const struct module_table *table);

/* Adopts @fd (owned from here on, also on failure) as the module's file: reads
 * its program headers, build-id and where its unwind information lies. If the
 * build-id shows that the module is one already known, *ret_module is that one
 * and @module stays an alias that new frames should not use. A module that has
 * its file keeps it. Returns 0 or -errno. -EBADMSG: no 64-bit ELF file; -ESTALE:
 * its build-id is not the one that the module is known by; -EMFILE: modules have
 * half of RLIMIT_NOFILE in use. */
int module_adopt_fd(struct module_table *table, struct module *module, int fd,
		    struct module **ret_module);

/* Takes the names that the process gives to its generated code (a perf-map, see
 * keeper_open_perf_map()) for @module's file, or the file that is there now if it had
 * one. Once its process has ended it keeps what it has. The PROFD_MAX_PERF_MAPS that
 * were asked for last are held. Returns 0 or -errno; -ENOENT: the process writes none. */
int module_open_perf_map(struct module_table *table, struct keeper *keeper, struct module *module);
uint64_t module_table_perf_maps_refused(const struct module_table *table); /* not trusted */

/* The unwind information, read on first use. NULL: it has none, or cannot be
 * read. All copies together stay within PROFD_MAX_CFI_BYTES, one module's within
 * half of that: beyond it the one that was asked for longest ago goes, so hold on
 * to the bytes of no more than two modules at a time. */
const struct cfi_module *module_cfi(struct module_table *table, struct module *module);

void module_add_place(struct module *module, const struct module_place *place);

/* File offset to ELF address, by program headers. False: in no executable segment. */
bool module_offset_to_vaddr(const struct module *module, uint64_t offset, uint64_t *ret_vaddr);

/* Lower-case hex; "" when there is none. @ret: 2*MODULE_BUILD_ID_MAX+1 bytes. */
void module_build_id_hex(const struct module *module, char *ret);
