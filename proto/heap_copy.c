/*
 * A checked copy of a heap table. Each region is copied once with pread(),
 * then looked at; no index that the other side wrote is used before it has
 * been compared with what was copied.
 *
 * The buckets are the exception to "once": they are read twice, frees from the
 * first reading and allocations from the second. What was freed by then had
 * been allocated before, so live values cannot come out negative by a race.
 */
#include "proto/heap_table.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"
#include "profd/limits.h"

static const uint32_t strides[HEAP_REGION_N] = {
	[HEAP_REGION_MODULES] = sizeof(struct heap_module),
	[HEAP_REGION_STRINGS] = 1,
	[HEAP_REGION_FRAMES] = sizeof(uint64_t),
	[HEAP_REGION_STACKS] = sizeof(struct heap_stack),
	[HEAP_REGION_BUCKETS] = sizeof(struct heap_bucket),
	[HEAP_REGION_KEYS] = sizeof(uint64_t),
	[HEAP_REGION_LIVE] = sizeof(struct heap_live),
};

/* The raw regions, while they are being checked. */
struct raw {
	struct heap_module *modules;
	char *strings;
	struct heap_stack *stacks;
	struct heap_bucket *frees, *allocs; /* first and second reading */
	size_t n_modules, n_strings, n_frames, n_stacks, n_buckets;
};

static int check_regions(const struct heap_header *h)
{
	for (int i = 0; i < HEAP_REGION_N; i++) {
		const struct heap_region *r = &h->regions[i];
		uint64_t bytes = (uint64_t)r->capacity * strides[i];

		if (r->stride != strides[i] || r->offset < sizeof(*h) ||
		    r->offset > h->table_bytes || bytes > h->table_bytes - r->offset)
			return -EBADMSG;
	}
	return 0;
}

/* A short read means zeros, as a hole would. */
int heap_table_region(int fd, const struct heap_header *h, enum heap_region_id id, void **ret,
		      size_t *ret_n)
{
	const struct heap_region *r = &h->regions[id];
	size_t n = min(r->used, r->capacity), bytes = n * strides[id], done = 0;
	char *p = calloc(1, bytes + 1);

	if (!p)
		return -ENOMEM;
	while (done < bytes) {
		ssize_t k = pread(fd, p + done, bytes - done, (off_t)(r->offset + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		done += (size_t)k;
	}
	*ret = p;
	*ret_n = n;
	return 0;
}

static char *copy_path(const struct raw *raw, const struct heap_module *m)
{
	size_t n = m->path_bytes;
	char *path;

	if (m->path_offset > raw->n_strings || n > raw->n_strings - m->path_offset ||
	    n > PROFD_MAX_PATH)
		n = 0;
	path = strndup(n ? raw->strings + m->path_offset : "", n);
	for (char *p = path; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '_';
	return path;
}

static int check_modules(const struct raw *raw, struct heap_copy *copy)
{
	copy->modules = calloc(raw->n_modules + 1, sizeof(*copy->modules));
	if (!copy->modules)
		return -ENOMEM;
	for (size_t i = 0; i < raw->n_modules; i++) {
		const struct heap_module *m = &raw->modules[i];
		struct heap_copy_module *c = &copy->modules[copy->n_modules++];

		c->path = copy_path(raw, m);
		if (!c->path)
			return -ENOMEM;
		if (!m->ready)
			continue; /* keeps its index; its frames have no segment to lie in */
		c->bias = m->bias;
		c->n_segments = min(m->n_segments, (uint32_t)HEAP_SEGMENT_N);
		memcpy(c->segments, m->segments, sizeof(c->segments));
		c->build_id_bytes = min((unsigned)m->build_id_bytes, (unsigned)HEAP_BUILD_ID_MAX);
		memcpy(c->build_id, m->build_id, sizeof(c->build_id));
	}
	return 0;
}

static void check_frames(struct heap_copy *copy)
{
	for (size_t i = 0; i < copy->n_frames; i++)
		if (HEAP_FRAME_MODULE(copy->frames[i]) >= copy->n_modules)
			copy->frames[i] = HEAP_FRAME(HEAP_NO_MODULE, copy->frames[i]);
}

/* Fixed point to whole units, rounded to nearest; a nonsense value becomes 0. */
static int64_t whole(uint64_t amount, int shift)
{
	if (amount >> 62)
		return 0;
	return (int64_t)((amount + (1ULL << (shift - 1))) >> shift);
}

static uint64_t excess(uint64_t allocs, uint64_t frees)
{
	return allocs > frees ? allocs - frees : 0;
}

static bool check_bucket(const struct raw *raw, const struct heap_copy *copy, size_t i,
			 struct heap_copy_bucket *ret)
{
	const struct heap_bucket *a = &raw->allocs[i], *f = &raw->frees[i];
	const struct heap_stack *s;

	if (!a->ready || a->stack >= raw->n_stacks)
		return false;
	s = &raw->stacks[a->stack];
	if (!s->ready || s->n_frames > PROFD_MAX_FRAMES || s->frames_index > copy->n_frames ||
	    s->n_frames > copy->n_frames - s->frames_index)
		return false;
	*ret = (struct heap_copy_bucket){
		.first_frame = s->frames_index,
		.n_frames = s->n_frames,
		.kind = s->kind,
		.flags = s->flags,
		.index = (uint32_t)i,
		.stack = a->stack,
		.labels = s->labels <= copy->labels.n_sets ? s->labels : 0,
		.size_class = a->size_class,
		.alloc_objects = whole(a->alloc_objects, HEAP_OBJECT_SHIFT),
		.alloc_bytes = whole(a->alloc_bytes, HEAP_BYTE_SHIFT),
		.inuse_objects =
			whole(excess(a->alloc_objects, f->free_objects), HEAP_OBJECT_SHIFT),
		.inuse_bytes = whole(excess(a->alloc_bytes, f->free_bytes), HEAP_BYTE_SHIFT),
	};
	return true;
}

static int check_buckets(const struct raw *raw, struct heap_copy *copy)
{
	copy->buckets = calloc(raw->n_buckets + 1, sizeof(*copy->buckets));
	if (!copy->buckets)
		return -ENOMEM;
	for (size_t i = 0; i < raw->n_buckets; i++)
		if (check_bucket(raw, copy, i, &copy->buckets[copy->n_buckets]))
			copy->n_buckets++;
	return 0;
}

/* Order matters: what refers to others is read first, so that all it refers to
 * had been published when the others are read. */
static int read_regions(int fd, struct heap_copy *copy, struct raw *raw)
{
	const struct {
		enum heap_region_id id;
		void **to;
		size_t *n;
	} plan[] = {
		{HEAP_REGION_BUCKETS, (void **)&raw->frees, &raw->n_buckets},
		{HEAP_REGION_BUCKETS, (void **)&raw->allocs, &raw->n_buckets},
		{HEAP_REGION_STACKS, (void **)&raw->stacks, &raw->n_stacks},
		{HEAP_REGION_FRAMES, (void **)&copy->frames, &copy->n_frames},
		{HEAP_REGION_MODULES, (void **)&raw->modules, &raw->n_modules},
		{HEAP_REGION_STRINGS, (void **)&raw->strings, &raw->n_strings},
	};

	for (size_t i = 0; i < ARRAY_SIZE(plan); i++) {
		/* the buckets' header was read before: later regions use a later one */
		struct heap_header h = copy->header;
		int r;

		if (plan[i].id != HEAP_REGION_BUCKETS) {
			r = heap_table_header(fd, &h);
			if (r < 0)
				return r;
			memcpy(copy->header.regions, h.regions, sizeof(h.regions));
			r = check_regions(&copy->header);
			if (r < 0)
				return r;
		}
		r = heap_table_region(fd, &copy->header, plan[i].id, plan[i].to, plan[i].n);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill(int fd, struct heap_copy *copy, struct raw *raw)
{
	int r;

	r = heap_table_check(fd, &copy->header);
	if (r < 0)
		return r == -EPROTONOSUPPORT ? -EBADMSG : r;
	r = check_regions(&copy->header);
	if (r < 0)
		return r;
	r = read_regions(fd, copy, raw);
	if (r < 0)
		return r;
	r = check_modules(raw, copy);
	if (r < 0)
		return r;
	check_frames(copy);
	r = heap_table_labels(fd, &copy->header, &copy->labels);
	if (r < 0 && r != -EBADMSG) /* a heap is worth having without them, too */
		return r;
	return check_buckets(raw, copy);
}

int heap_table_copy(int fd, struct heap_copy **ret_copy)
{
	struct heap_copy *copy = calloc(1, sizeof(*copy));
	struct raw raw = {0};
	int r;

	if (!copy)
		return -ENOMEM;
	r = fill(fd, copy, &raw);
	free(raw.modules);
	free(raw.strings);
	free(raw.stacks);
	free(raw.frees);
	free(raw.allocs);
	if (r < 0) {
		heap_copy_free(copy);
		return r;
	}
	*ret_copy = copy;
	return 0;
}

void heap_copy_free(struct heap_copy *copy)
{
	if (!copy)
		return;
	for (size_t i = 0; i < copy->n_modules; i++)
		free(copy->modules[i].path);
	free(copy->modules);
	free(copy->frames);
	free(copy->buckets);
	heap_copy_labels_done(&copy->labels);
	free(copy);
}
