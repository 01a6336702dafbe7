/* A few modules and an aggregate of frames in them, for unit tests of freezing. */
#pragma once

#include "tests/unit/go.h"

#include "daemon/profile/freeze.h"

struct world {
	struct module_table *modules;
	struct module *main, *lib, *kernel, *jit, *note;
	struct aggregate *a;
};

static inline struct module *new_file(struct world *w, const char *path, uint64_t inode,
				      uint64_t start)
{
	struct module_key key = {.dev = 1, .inode = inode};
	struct module *m = module_get_file(w->modules, path, &key);

	assert_non_null(m);
	if (start)
		module_add_place(m, &(struct module_place){start, start + 0x10000, 0x1000});
	return m;
}

static inline void world_init(struct world *w, size_t n_values)
{
	assert_int_equal(module_table_new(&w->modules), 0);
	w->lib = new_file(w, "/lib/libx.so", 10, 0x7f0000000000);
	w->main = new_file(w, "/usr/bin/thing", 11, 0x550000000000);
	w->kernel = module_get_kernel(w->modules);
	w->jit = module_get_jit(w->modules, 77);
	w->note = module_get_note(w->modules, "[truncated]");
	assert_int_equal(aggregate_new(n_values, 1000, &w->a), 0);
}

static inline void world_done(struct world *w)
{
	aggregate_free(w->a);
	module_table_free(w->modules);
}

static inline void add(struct world *w, const struct frame *frames, size_t n,
		       const struct sample_labels *labels)
{
	struct sample s = {.frames = frames, .n_frames = n, .values = {1, 100, 1, 100}};

	if (labels)
		s.labels = *labels;
	assert_int_equal(aggregate_add(w->a, &s), 0);
}

static inline void add_one(struct world *w, const struct module *m, uint64_t offset)
{
	struct frame frame = {m ? m->id : 0, offset};

	add(w, &frame, 1, NULL);
}

static inline struct frozen freeze(struct world *w, struct freeze how)
{
	struct frozen f;

	assert_int_equal(freeze_aggregate(w->modules, w->a, &how, &f), 0);
	assert_int_equal(f.n_modules, pprof_n_mappings(f.profile));
	return f;
}

/* The location of the leaf of sample @i; its mapping too if @ret_m. */
static inline struct pprof_location leaf(const struct frozen *f, size_t i,
					 struct pprof_mapping *ret_m)
{
	struct pprof_sample s;
	struct pprof_location l;

	pprof_sample(f->profile, i, &s);
	assert_true(s.n_locations > 0);
	pprof_location(f->profile, s.locations[0], &l);
	if (ret_m) {
		assert_true(l.mapping > 0);
		pprof_mapping(f->profile, l.mapping, ret_m);
		assert_true(l.address >= ret_m->start && l.address < ret_m->limit);
	}
	return l;
}

static inline uint64_t leaf_offset(const struct frozen *f, size_t i)
{
	struct pprof_mapping m;
	struct pprof_location l = leaf(f, i, &m);

	return l.address - m.start + m.file_offset;
}
