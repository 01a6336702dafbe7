/*
 * A client's table as samples: frames become (module id, offset), and the
 * modules' files are opened while their process still has them.
 */
#pragma once

#include <stdint.h>

#include "daemon/heap/client.h"
#include "daemon/proc/sample.h"
#include "proto/heap_table.h"

/* The values of a sample; those of CPU time are told by heap_client_read_cpu(). */
enum { HEAP_ALLOC_OBJECTS, HEAP_ALLOC_BYTES, HEAP_INUSE_OBJECTS, HEAP_INUSE_BYTES };

/* Where a module lay in the client's memory. */
struct heap_place {
	uint32_t module;
	struct module_place place;
};

struct heap_profile {
	struct sample *samples; /* values by the enum above; label `bytes` is the size class */
	size_t n_samples;
	struct frame *frames;		/* what the samples point into; */
	struct heap_copy_labels labels; /* likewise */
	struct heap_place *places;
	size_t n_places;
	uint32_t main_module; /* 0: not known */
	int64_t inuse_bytes, inuse_objects;
	struct heap_age ages[HEAP_AGES_MAX];
	size_t n_ages;
	struct heap_header header;
};

/* Returns 0 or -errno as heap_table_copy(). */
int heap_client_read(struct keeper *keeper, struct heap_client *client,
		     struct module_table *modules, struct heap_profile *ret_profile);

/* The same of the CPU time that the program's own timers have sampled since it
 * started. The bucket is an index that stays the sample's for as long as the table
 * lives. */
enum { HEAP_CPU_SAMPLES, HEAP_CPU_NS, HEAP_CPU_BUCKET };
int heap_client_read_cpu(struct keeper *keeper, struct heap_client *client,
			 struct module_table *modules, struct heap_profile *ret_profile);

/* The same of another kind that is a count and a sum of nanoseconds. */
int heap_client_read_counts(struct keeper *keeper, struct heap_client *client,
			    struct module_table *modules, enum heap_kind kind,
			    struct heap_profile *ret_profile);
void heap_profile_done(struct heap_profile *profile);

/* Opens the files of the modules that the table names so far, so that they can
 * be symbolized when the process is gone. */
int heap_client_open_modules(struct keeper *keeper, struct heap_client *client,
			     struct module_table *modules);

/* In-use sums alone, for listings. */
int heap_client_inuse(const struct heap_client *client, int64_t *ret_bytes, int64_t *ret_objects);
