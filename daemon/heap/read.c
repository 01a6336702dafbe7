/*
 * From a table's own terms to profd's: module indexes become struct modules,
 * ELF addresses become file offsets.
 *
 * A module's file is identified through the process's mappings (which give
 * device and inode, and a way to open just that file). When the process is gone,
 * or has unmapped the module, the build-id that the client noted identifies it.
 */
#include "daemon/heap/read.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

/* The mappings of the client's process now; a table of its own, thrown away
 * after use, so that nothing in it can be stale. */
struct lookup {
	struct keeper *keeper;
	pid_t pid;
	struct process_table *processes;
	struct process *process; /* NULL: gone */
	struct module_table *modules;
};

static int lookup_start(struct keeper *keeper, const struct heap_client *client,
			struct module_table *modules, struct lookup *ret)
{
	int r;

	*ret = (struct lookup){.keeper = keeper, .pid = client->pid, .modules = modules};
	if (client->dead)
		return 0;
	r = process_table_new(keeper, modules, &ret->processes);
	if (r < 0)
		return r;
	ret->process = process_get(ret->processes, client->pid);
	return 0;
}

static void lookup_done(struct lookup *l)
{
	process_table_free(l->processes);
}

static bool same_build_id(const struct module *m, const struct heap_copy_module *c)
{
	return m->build_id_bytes == c->build_id_bytes &&
	       memcmp(m->build_id, c->build_id, c->build_id_bytes) == 0;
}

/* By path; the build-id tells whether it is the file that the client meant. */
static struct module *open_by_path(struct lookup *l, struct module *m)
{
	int fd;

	if (m->opened || m->build_id_bytes == 0)
		return m;
	fd = keeper_open_mapped(l->keeper, l->pid, 0, 0, m->path);
	m->attempt_pid = l->pid;
	if (fd >= 0)
		(void)module_adopt_fd(l->modules, m, fd, &m);
	return m;
}

static struct module *find_module(struct lookup *l, const struct heap_copy_module *c)
{
	struct module_key key = {.build_id = c->build_id, .build_id_bytes = c->build_id_bytes};
	const struct process_map *map = NULL;
	struct module *m;

	for (unsigned i = 0; l->process && !map && i < c->n_segments; i++)
		map = process_find_map(l->process, c->bias + c->segments[i].vaddr);
	m = map ? process_open_module(l->processes, l->process, map) : NULL;
	if (m && (same_build_id(m, c) || m->kind == MODULE_VDSO))
		return m;
	if (!*c->path)
		return NULL;
	m = module_get_file(l->modules, c->path, &key);
	return m ? open_by_path(l, m) : NULL;
}

static int find_modules(struct lookup *l, const struct heap_copy *copy, struct module ***ret)
{
	struct module **found = calloc(copy->n_modules + 1, sizeof(*found));

	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < copy->n_modules; i++)
		found[i] = find_module(l, &copy->modules[i]);
	*ret = found;
	return 0;
}

/* ELF address to file offset, by the segments that the client noted. */
static bool vaddr_to_offset(const struct heap_copy_module *c, uint64_t vaddr, uint64_t *ret)
{
	for (unsigned i = 0; i < c->n_segments; i++) {
		const struct heap_segment *s = &c->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->bytes) {
			*ret = vaddr - s->vaddr + s->file_offset;
			return true;
		}
	}
	return false;
}

static struct frame make_frame(const struct heap_copy *copy, struct module *const *found,
			       struct module *jit, uint64_t raw)
{
	uint32_t index = HEAP_FRAME_MODULE(raw);
	uint64_t call = HEAP_FRAME_ADDRESS(raw) - 1; /* in the call, not behind it */
	uint64_t offset;

	if (index == HEAP_NO_MODULE)
		return (struct frame){.module = jit ? jit->id : 0, .offset = call};
	if (!found[index] || !vaddr_to_offset(&copy->modules[index], call, &offset))
		return (struct frame){.offset = copy->modules[index].bias + call};
	return (struct frame){.module = found[index]->id, .offset = offset};
}

static void add_places(struct heap_profile *p, const struct heap_copy_module *c,
		       const struct module *m)
{
	const uint64_t mask = ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);

	for (unsigned i = 0; m && i < c->n_segments; i++) {
		const struct heap_segment *s = &c->segments[i];
		uint64_t start = (c->bias + s->vaddr) & mask;

		p->places[p->n_places++] = (struct heap_place){
			.module = m->id,
			.place = {.start = start,
				  .limit = (c->bias + s->vaddr + s->bytes + ~mask) & mask,
				  .file_offset = s->file_offset & mask},
		};
	}
}

/* The program itself lies lowest, as Linux lays processes out. */
static void choose_main(struct heap_profile *p)
{
	uint64_t lowest = UINT64_MAX;

	for (size_t i = 0; i < p->n_places; i++)
		if (p->places[i].place.start < lowest) {
			lowest = p->places[i].place.start;
			p->main_module = p->places[i].module;
		}
}

/* What stands where a stack ends too early. Allocators are called from code that
 * can be walked; an instruction that was interrupted may be in any. */
static const struct module *end_note(struct module_table *modules, const struct heap_copy_bucket *b)
{
	if (b->flags & HEAP_STACK_TRUNCATED)
		return module_get_note(modules, "[truncated: depth]");
	if (b->kind == HEAP_KIND_CPU && (b->flags & HEAP_STACK_BROKEN))
		return module_get_note(modules, "[truncated: broken stack]");
	return NULL;
}

static size_t add_frames(struct heap_profile *p, size_t at, const struct heap_copy *copy,
			 const struct heap_copy_bucket *b, struct module *const *found,
			 struct module *jit, const struct module *note)
{
	size_t n = 0;

	for (; n < b->n_frames; n++)
		p->frames[at + n] = make_frame(copy, found, jit, copy->frames[b->first_frame + n]);
	if (note)
		p->frames[at + n++] = (struct frame){.module = note->id};
	return n;
}

static void set_heap_values(struct heap_profile *p, const struct heap_copy_bucket *b,
			    struct sample *s)
{
	s->labels.bytes = b->size_class;
	s->values[HEAP_ALLOC_OBJECTS] = b->alloc_objects;
	s->values[HEAP_ALLOC_BYTES] = b->alloc_bytes;
	s->values[HEAP_INUSE_OBJECTS] = b->inuse_objects;
	s->values[HEAP_INUSE_BYTES] = b->inuse_bytes;
	p->inuse_bytes += b->inuse_bytes;
	p->inuse_objects += b->inuse_objects;
}

static void set_counts(const struct heap_copy_bucket *b, struct sample *s)
{
	s->values[HEAP_CPU_SAMPLES] = b->inuse_objects;
	s->values[HEAP_CPU_NS] = b->inuse_bytes;
	s->values[HEAP_CPU_BUCKET] = b->index;
}

static int add_samples(struct heap_profile *p, const struct heap_copy *copy,
		       struct module *const *found, struct module_table *modules, pid_t pid,
		       enum heap_kind kind)
{
	struct module *jit = module_get_jit(modules, pid);
	size_t n_frames = 0;

	for (size_t i = 0; i < copy->n_buckets; i++)
		n_frames += copy->buckets[i].n_frames + 1u;
	p->samples = calloc(copy->n_buckets + 1, sizeof(*p->samples));
	p->frames = calloc(n_frames + 1, sizeof(*p->frames));
	if (!p->samples || !p->frames)
		return -ENOMEM;
	n_frames = 0;
	for (size_t i = 0; i < copy->n_buckets; i++) {
		const struct heap_copy_bucket *b = &copy->buckets[i];
		struct sample *s = &p->samples[p->n_samples];

		if (b->kind != kind)
			continue;
		s->frames = p->frames + n_frames;
		s->n_frames = add_frames(p, n_frames, copy, b, found, jit, end_note(modules, b));
		n_frames += s->n_frames;
		s->labels.own = b->labels ? copy->labels.sets[b->labels - 1] : NULL;
		if (kind == HEAP_KIND_HEAP)
			set_heap_values(p, b, s);
		else
			set_counts(b, s);
		p->n_samples++;
	}
	return 0;
}

static int convert(struct heap_profile *p, const struct heap_copy *copy,
		   struct module *const *found, struct module_table *modules, pid_t pid,
		   enum heap_kind kind)
{
	p->places = calloc(copy->n_modules * HEAP_SEGMENT_N + 1, sizeof(*p->places));
	if (!p->places)
		return -ENOMEM;
	p->header = copy->header;
	for (size_t i = 0; i < copy->n_modules; i++)
		add_places(p, &copy->modules[i], found[i]);
	choose_main(p);
	return add_samples(p, copy, found, modules, pid, kind);
}

/* Notes what the client's table speaks of. A module that an earlier reading
 * found may have left the table since, and is not needed any more. */
static void remember_modules(struct heap_client *client, const struct heap_copy *copy,
			     struct module *const *found)
{
	uint32_t *ids = calloc(copy->n_modules + 1, sizeof(*ids));
	size_t n = 0;

	if (!ids)
		return; /* what was known before stays known */
	for (size_t i = 0; i < copy->n_modules; i++)
		if (found[i])
			ids[n++] = found[i]->id;
	free(client->modules);
	client->modules = ids;
	client->n_modules = n;
}

/* A copy of the table, and the module that each of its indexes means. */
static int load(struct keeper *keeper, struct heap_client *client, struct module_table *modules,
		struct heap_copy **ret_copy, struct module ***ret_found)
{
	struct heap_copy *copy;
	struct lookup lookup;
	int r;

	r = heap_table_copy(client->table_fd, &copy);
	if (r < 0)
		return r;
	r = lookup_start(keeper, client, modules, &lookup);
	if (r >= 0) {
		r = find_modules(&lookup, copy, ret_found);
		lookup_done(&lookup);
	}
	if (r < 0) {
		heap_copy_free(copy);
		return r;
	}
	remember_modules(client, copy, *ret_found);
	*ret_copy = copy;
	return 0;
}

static int read_kind(struct keeper *keeper, struct heap_client *client,
		     struct module_table *modules, enum heap_kind kind,
		     struct heap_profile *ret_profile)
{
	_cleanup_free_ struct module **found = NULL;
	struct heap_profile profile = {0};
	struct heap_copy *copy;
	int r;

	r = load(keeper, client, modules, &copy, &found);
	if (r < 0)
		return r;
	r = convert(&profile, copy, found, modules, client->pid, kind);
	if (r >= 0 && kind == HEAP_KIND_HEAP)
		r = heap_table_ages(client->table_fd, copy, clock_mono_ns() / NSEC_PER_MSEC,
				    profile.ages, HEAP_AGES_MAX, &profile.n_ages);
	profile.labels = copy->labels; /* the samples' */
	copy->labels = (struct heap_copy_labels){0};
	heap_copy_free(copy);
	if (r < 0) {
		heap_profile_done(&profile);
		return r;
	}
	*ret_profile = profile;
	return 0;
}

int heap_client_read(struct keeper *keeper, struct heap_client *client,
		     struct module_table *modules, struct heap_profile *ret_profile)
{
	return read_kind(keeper, client, modules, HEAP_KIND_HEAP, ret_profile);
}

int heap_client_read_cpu(struct keeper *keeper, struct heap_client *client,
			 struct module_table *modules, struct heap_profile *ret_profile)
{
	return read_kind(keeper, client, modules, HEAP_KIND_CPU, ret_profile);
}

int heap_client_read_counts(struct keeper *keeper, struct heap_client *client,
			    struct module_table *modules, enum heap_kind kind,
			    struct heap_profile *ret_profile)
{
	return read_kind(keeper, client, modules, kind, ret_profile);
}

void heap_profile_done(struct heap_profile *profile)
{
	free(profile->samples);
	free(profile->frames);
	free(profile->places);
	heap_copy_labels_done(&profile->labels);
	*profile = (struct heap_profile){0};
}

int heap_client_open_modules(struct keeper *keeper, struct heap_client *client,
			     struct module_table *modules)
{
	_cleanup_free_ struct module **found = NULL;
	struct heap_copy *copy;
	int r = load(keeper, client, modules, &copy, &found);

	if (r >= 0)
		heap_copy_free(copy);
	return r;
}

int heap_client_inuse(const struct heap_client *client, int64_t *ret_bytes, int64_t *ret_objects)
{
	struct heap_copy *copy;
	int64_t bytes = 0, objects = 0;
	int r;

	r = heap_table_copy(client->table_fd, &copy);
	if (r < 0)
		return r;
	for (size_t i = 0; i < copy->n_buckets; i++) {
		if (copy->buckets[i].kind != HEAP_KIND_HEAP)
			continue;
		bytes += copy->buckets[i].inuse_bytes;
		objects += copy->buckets[i].inuse_objects;
	}
	heap_copy_free(copy);
	*ret_bytes = bytes;
	*ret_objects = objects;
	return 0;
}
