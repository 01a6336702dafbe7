/*
 * The client's one session: where its table is, and what it learnt at start.
 *
 * Written before the first sample is taken, and again in a fork's child before
 * it returns to the program; read without a lock by every thread in between.
 * Sizes that guard an access are kept here, in private memory, although the
 * table's header has them too: what can be read by others may be written by them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profd/heap_table.h"

#define SESSION_DEFAULT_RATE	524288
#define SESSION_MAX_GENERATIONS 6

enum session_state {
	SESSION_NEW,
	SESSION_STARTING, /* somebody is at it: pass through, ask again */
	SESSION_ACTIVE,
	SESSION_OFF, /* pass through for good */
};

struct session {
	uint32_t state; /* atomic, enum session_state */

	/* A word on a page that the kernel empties in a child that has memory of
	 * its own. 0: this is such a child, and no fork handler has given it a
	 * table yet (a raw clone never does): nothing may be recorded. */
	uint32_t *here;

	uint64_t rate_bytes;
	uint64_t seed;
	uint64_t stack_limit_bytes;
	uint64_t main_stack_top; /* 0: not known */
	bool has_clock;		 /* the clock can be read without a system call */

	/* the shared table */
	struct heap_header *table;
	uint64_t table_bytes;
	uint32_t capacity[HEAP_REGION_N];
	unsigned n_generations;
	struct heap_module *modules;
	char *strings;
	uint64_t *frames;
	struct heap_stack *stacks;
	struct heap_bucket *buckets;
	uint64_t *shared_keys; /* a copy of keys, for the reader */
	struct heap_live *live;
	struct heap_label_set *label_sets;
	char *label_text;
	uint32_t *label_threads;
	struct heap_label_history *label_histories;
	uint32_t label_set_capacity, label_text_capacity, label_thread_capacity;

	/* private memory, mapped at start and touched as needed */
	void *reserve;
	uint64_t reserve_bytes;
	void *service_stack;
	uint64_t service_stack_bytes;
	uint64_t *keys;	       /* as the region, and what holds here: a fork copies it */
	uint32_t *stack_index; /* hash tables: 0 or an index into the region plus 1 */
	uint32_t *bucket_index;
	uint32_t *label_index;
	struct walk_cached_row *rows;
	struct module_cached *module_cache;
	uint32_t used_generations; /* atomic */

	const char *program; /* the main program's path */
};

extern struct session session;

/* True: samples can be recorded now. The one question of every slow path. */
static inline bool session_is_recording(void)
{
	return __atomic_load_n(&session.state, __ATOMIC_ACQUIRE) == SESSION_ACTIVE &&
	       __atomic_load_n(session.here, __ATOMIC_RELAXED) != 0;
}

/* Reads the environment, builds the table and hands it to profd; on failure
 * the session is off. Does nothing if that has been done or cannot be yet. */
void session_begin(void);

static inline void session_count_lost(enum heap_lost what)
{
	__atomic_fetch_add(&session.table->lost[what], 1, __ATOMIC_RELAXED);
}
