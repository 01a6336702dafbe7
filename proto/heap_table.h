/*
 * Reading another process's heap table (layout: profd/heap_table.h).
 *
 * Everything is taken with pread() into memory of our own and checked there:
 * the writer may cut, punch or scribble over the table while it is being read,
 * and the worst that follows is a wrong number in that process's own profile.
 * No mapping, hence no SIGBUS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profd/heap_table.h"

struct heap_copy_module {
	char *path; /* valid UTF-8, no control characters */
	uint64_t bias;
	unsigned n_segments;
	struct heap_segment segments[HEAP_SEGMENT_N];
	unsigned build_id_bytes;
	uint8_t build_id[HEAP_BUILD_ID_MAX];
};

struct heap_copy_bucket {
	uint32_t first_frame; /* index into frames */
	uint16_t n_frames;
	uint8_t kind;	       /* enum heap_kind */
	uint8_t flags;	       /* enum heap_stack_flag */
	uint32_t index, stack; /* in the table */
	uint32_t labels;       /* in heap_copy.labels, plus one; 0: none */
	uint64_t size_class;
	int64_t alloc_objects, alloc_bytes; /* whole units, rounded */
	int64_t inuse_objects, inuse_bytes;
};

/* The sets of labels that a program has made, by their number minus one: what each
 * stands for as struct sample_labels has it (daemon/proc/sample.h), NULL: nothing.
 * Keys are unique in a set and none of profd's own; at most HEAP_LABELS_MAX_PAIRS. */
struct heap_copy_labels {
	char **sets;
	size_t n_sets;
};

#define HEAP_LABEL_SEPARATOR '\x1f' /* behind every key and every value */

/* A checked copy: every index in it is in range. */
struct heap_copy {
	struct heap_header header;
	struct heap_copy_module *modules;
	size_t n_modules;
	uint64_t *frames; /* HEAP_FRAME; modules are in range or HEAP_NO_MODULE */
	size_t n_frames;
	struct heap_copy_bucket *buckets;
	size_t n_buckets;
	struct heap_copy_labels labels;
};

/*
 * Checks that @fd is a heap table that this build can read.
 * Returns 0; -EPROTONOSUPPORT: another version (ret_header->version says which,
 * and is all that holds); -EBADMSG: not a table; -EPERM: it can still be truncated
 * (seals missing).
 */
int heap_table_check(int fd, struct heap_header *ret_header);

/* Copies and checks the whole table. Returns 0, -EBADMSG or -ENOMEM. */
int heap_table_copy(int fd, struct heap_copy **ret_copy);
void heap_copy_free(struct heap_copy *copy);

/* Copies the used part of a region that is known to lie in the table; what is
 * missing reads as zeros. *ret is malloc'd. Returns 0 or -ENOMEM. */
int heap_table_region(int fd, const struct heap_header *h, enum heap_region_id id, void **ret,
		      size_t *ret_n);

/* Copies and checks the sets of labels; @header is the table's as just read.
 * Returns 0, -EBADMSG or -ENOMEM. */
int heap_table_labels(int fd, const struct heap_header *header,
		      struct heap_copy_labels *ret_labels);
void heap_copy_labels_done(struct heap_copy_labels *labels);

/* True: the program has labelled a thread. Reads that word alone. */
bool heap_table_has_labels(int fd);

/* The set (its number, or 0: none) that thread @tid had at @mono_ns. Returns 0;
 * -ENODATA: the thread's history does not reach back so far; -EBADMSG or -ENOMEM. */
int heap_table_set_at(int fd, uint32_t tid, uint64_t mono_ns, uint32_t *ret_set);

#define HEAP_AGES_MAX	   10
#define HEAP_AGE_ADDRESSES 8

struct heap_age {	     /* of one stack */
	int64_t inuse_bytes; /* estimated */
	size_t n_live;	     /* sampled objects; 0: the ages are not known */
	uint32_t youngest_ms, median_ms, oldest_ms;
	unsigned n_addresses; /* of its innermost frames, inside the calls */
	uint64_t addresses[HEAP_AGE_ADDRESSES];
};

/* The ages of the live objects of the stacks with most bytes in use, those first.
 * @now_mono_ms: CLOCK_MONOTONIC. @most: room in @ret_ages. Returns 0 or -ENOMEM. */
int heap_table_ages(int fd, const struct heap_copy *copy, uint64_t now_mono_ms,
		    struct heap_age *ret_ages, size_t most, size_t *ret_n);

/* Copies the header alone. Returns 0 or -EBADMSG. */
int heap_table_header(int fd, struct heap_header *ret_header);

/* Asks the client to measure waits, or no more (profd/heap_table.h): all of @waits but
 * `always`, which has to be 0 in the table. Returns 0 or -errno. */
int heap_table_ask_waits(int fd, const struct heap_waits *waits);

/* Writes the request and wakes the client; *ret_seq identifies the answer. @header
 * is the table's as just read. Returns 0 or -errno. */
int heap_table_request(int fd, const struct heap_header *header, enum heap_verb verb,
		       uint64_t budget_bytes, uint32_t *ret_seq);
