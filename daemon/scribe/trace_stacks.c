/*
 * A node is a function in its caller's node. Inlined functions are nodes, too. Numbers
 * begin with 1; node 0 is the root that all outermost functions have.
 */
#include "daemon/scribe/trace_stacks.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scribe/json.h"
#include "profd/base.h"
#include "proto/array.h"
#include "proto/hash_index.h"

struct key {		  /* no padding: hashed as bytes */
	const char *name; /* interned by the profile: equal names are one */
	uint32_t caller;
	uint32_t mapping;
};
static_assert(sizeof(struct key) == 16, "padding would be hashed");

struct trace_stacks {
	const struct pprof *profile;
	ARRAY_TABLE(struct key) nodes;
	struct hash_index index;
	uint32_t *leaves; /* of samples */
	bool *kernel;	  /* of mappings, by id */
};

static bool node_equal(const void *table, uint32_t record, const void *key)
{
	const struct trace_stacks *s = table;

	return memcmp(&s->nodes.items[record], key, sizeof(struct key)) == 0;
}

static int add_node(struct trace_stacks *s, const struct key *key, uint32_t *ret)
{
	uint64_t hash = hash_index_bytes(key, sizeof(*key));
	uint32_t found = hash_index_find(&s->index, hash, node_equal, s, key);

	if (found == HASH_INDEX_NONE) {
		found = (uint32_t)s->nodes.n;
		if (array_grow(&s->nodes, 1) < 0 || hash_index_add(&s->index, hash, found) < 0)
			return -ENOMEM;
		s->nodes.items[s->nodes.n++] = *key;
	}
	*ret = found;
	return 0;
}

static int add_location(struct trace_stacks *s, uint64_t id, uint32_t *caller)
{
	struct pprof_location location;
	struct pprof_line line;
	int r = 0;

	pprof_location(s->profile, id, &location);
	for (size_t i = location.n_lines; r == 0 && i > 0; i--) {
		pprof_location_line(s->profile, id, i - 1, &line);
		r = add_node(s,
			     &(struct key){.name = line.name,
					   .caller = *caller,
					   .mapping = (uint32_t)location.mapping},
			     caller);
	}
	return r;
}

static int add_all(struct trace_stacks *s)
{
	uint32_t root;
	int r = add_node(s, &(struct key){.name = ""}, &root);

	for (size_t i = 0; r == 0 && i < pprof_n_samples(s->profile); i++) {
		struct pprof_sample sample;

		pprof_sample(s->profile, i, &sample);
		for (size_t j = sample.n_locations; r == 0 && j > 0; j--)
			r = add_location(s, sample.locations[j - 1], &s->leaves[i]);
	}
	return r;
}

static void find_kernel(struct trace_stacks *s)
{
	for (size_t id = 1; id <= pprof_n_mappings(s->profile); id++) {
		struct pprof_mapping m;

		pprof_mapping(s->profile, id, &m);
		s->kernel[id] = strncmp(m.path, "[kernel", 7) == 0;
	}
}

int trace_stacks_new(const struct pprof *p, struct trace_stacks **ret_stacks)
{
	struct trace_stacks *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->profile = p;
	s->leaves = calloc(pprof_n_samples(p) + 1, sizeof(*s->leaves));
	s->kernel = calloc(pprof_n_mappings(p) + 1, sizeof(*s->kernel));
	if (s->leaves && s->kernel) {
		find_kernel(s);
		r = add_all(s);
	}
	if (r < 0)
		trace_stacks_free(s);
	else
		*ret_stacks = s;
	return r;
}

void trace_stacks_free(struct trace_stacks *s)
{
	if (!s)
		return;
	free(s->nodes.items);
	hash_index_done(&s->index);
	free(s->leaves);
	free(s->kernel);
	free(s);
}

uint32_t trace_stacks_leaf(const struct trace_stacks *s, size_t i)
{
	return s->leaves[i];
}

const char *trace_stacks_function(const struct trace_stacks *s, uint32_t node)
{
	return s->nodes.items[node].name;
}

bool trace_stacks_is_kernel(const struct trace_stacks *s, uint32_t node)
{
	return s->kernel[s->nodes.items[node].mapping];
}

uint32_t trace_stacks_caller(const struct trace_stacks *s, uint32_t node)
{
	return s->nodes.items[node].caller;
}

/* ---- why it waits */

static bool is_schedulers(const char *name)
{
	static const char *const beginnings[] = {"__schedule", "schedule",    "io_schedule",
						 "preempt_",   "__traceiter", "perf_",
						 "trace_",     "__perf_",     "do_perf"};

	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

const char *trace_stacks_reason(const struct trace_stacks *s, uint32_t leaf)
{
	for (uint32_t n = leaf; n > 0 && trace_stacks_is_kernel(s, n);
	     n = trace_stacks_caller(s, n))
		if (!is_schedulers(trace_stacks_function(s, n)))
			return trace_stacks_function(s, n);
	return NULL;
}

/* "__x64_sys_futex", and the like of other machines and of older programs. */
const char *trace_stacks_syscall(const struct trace_stacks *s, uint32_t leaf)
{
	const char *found = NULL;

	for (uint32_t n = leaf; n > 0 && trace_stacks_is_kernel(s, n);
	     n = trace_stacks_caller(s, n)) {
		const char *name = trace_stacks_function(s, n);
		const char *sys = strncmp(name, "__", 2) == 0 ? strstr(name, "_sys_") : NULL;

		if (sys && islower((unsigned char)sys[5]))
			found = sys + 5;
	}
	return found;
}

/* ---- as text */

static void put_node(const struct trace_stacks *s, uint32_t node, struct gzip_writer *w)
{
	const struct key *k = &s->nodes.items[node];
	struct pprof_mapping m = {.path = ""};

	if (k->mapping > 0)
		pprof_mapping(s->profile, k->mapping, &m);
	json_putf(w, "%s\n\"%u\":{\"category\":", node > 1 ? "," : "", node);
	json_put_string(w, m.path);
	json_put(w, ",\"name\":");
	json_put_string(w, k->name);
	if (k->caller > 0)
		json_putf(w, ",\"parent\":\"%u\"", k->caller);
	json_put(w, "}");
}

void trace_stacks_put_all(const struct trace_stacks *s, struct gzip_writer *w)
{
	json_put(w, "{");
	for (uint32_t node = 1; node < s->nodes.n; node++)
		put_node(s, node, w);
	json_put(w, "}");
}

size_t trace_stacks_put(const struct trace_stacks *s, uint32_t leaf, struct gzip_writer *w)
{
	size_t bytes = 0;

	json_put(w, "[");
	for (uint32_t n = leaf; n > 0; n = trace_stacks_caller(s, n)) {
		const char *name = trace_stacks_function(s, n);

		if (n != leaf)
			json_put(w, ",");
		json_put_string(w, name);
		bytes += strlen(name) + 3;
	}
	json_put(w, "]");
	return bytes;
}
