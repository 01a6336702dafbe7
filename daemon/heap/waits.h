/*
 * What a client's threads wait for one another (struct heap_waits of
 * profd/heap_table.h): asking it to measure, and reading what it has counted.
 */
#pragma once

#include "daemon/heap/client.h"
#include "daemon/heap/read.h"

#define HEAP_WAITS_BIT(kind) (1u << (kind))
#define HEAP_WAITS_MEASURED  (HEAP_WAITS_BIT(HEAP_KIND_BLOCK) | HEAP_WAITS_BIT(HEAP_KIND_MUTEX))
#define HEAP_WAITS_ALL	     (HEAP_WAITS_MEASURED | HEAP_WAITS_BIT(HEAP_KIND_THREADCREATE))

/* The kind of that name, "block", "mutex" or "threadcreate"; false: none. */
bool heap_waits_parse(const char *name, enum heap_kind *ret_kind);

const char *heap_waits_name(enum heap_kind kind); /* the same back */

/* True: the client measures from its start to its end, for its environment says so. */
bool heap_waits_always(const struct heap_client *client);

/* True: something of these kinds (HEAP_WAITS_BIT) has been counted. */
bool heap_waits_any(const struct heap_client *client, unsigned kinds);

/* What has been counted at one moment, by bucket. */
struct heap_waits_mark;

/* The client is to measure, at most until @until_mono_ns; several may want that at
 * once, and each calls heap_waits_stop(). *ret_mark is the caller's, from now on, and
 * may be given to several readings. Returns 0 or -errno. */
int heap_waits_start(struct heap_client *client, uint64_t until_mono_ns,
		     struct heap_waits_mark **ret_mark);
void heap_waits_stop(struct heap_client *client);
void heap_waits_mark_free(struct heap_waits_mark *mark); /* NULL is fine */

/* Lets go of what a profd before us asked for and cannot end any more. */
void heap_waits_forget(int table_fd, const struct heap_header *header);

/* What has been counted since @mark; NULL: since the process started. Values of the
 * samples: a count and nanoseconds (the latter 0 for threadcreate), one at least.
 * Returns 0 or -errno as heap_table_copy(). */
int heap_waits_read(struct keeper *keeper, struct heap_client *client, struct module_table *modules,
		    enum heap_kind kind, const struct heap_waits_mark *mark,
		    struct heap_profile *ret_profile);
