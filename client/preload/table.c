/*
 * One memfd, of which only what is used takes memory. The sizes are chosen
 * once: a table cannot grow, as it is sealed against being cut under its
 * reader. A process whose limits refuse the full size gets a sixteenth.
 *
 * A descriptor is open between making the table and handing it over, both
 * before main (or before fork returns). After that only the mapping is left.
 */
#include "client/preload/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/live.h"
#include "client/preload/modules.h"
#include "proto/heap_name.h"
#include "client/preload/service.h"
#include "client/preload/session.h"
#include "client/preload/walk.h"
#include "client/preload/weight.h"

#define PAGE_BYTES	  4096ULL
#define SMALL_SHIFT	  4 /* the second attempt: sizes divided by 16 */
#define SMALL_GENERATIONS 4

#define LABEL_THREADS 1024 /* at a time */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8U /* Linux 6.3; where it is unknown, memfds are as before */
#endif

static const struct {
	uint32_t capacity, stride;
} shape[] = {
	[HEAP_REGION_MODULES] = {1024, sizeof(struct heap_module)},
	[HEAP_REGION_STRINGS] = {1 << 20, 1},
	[HEAP_REGION_FRAMES] = {2 << 20, sizeof(uint64_t)},
	[HEAP_REGION_STACKS] = {64 << 10, sizeof(struct heap_stack)},
	[HEAP_REGION_BUCKETS] = {128 << 10, sizeof(struct heap_bucket)},
};

static uint64_t page_round(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static void shape_region(struct heap_region *region, uint32_t capacity, uint32_t stride,
			 uint64_t *offset)
{
	*region = (struct heap_region){
		.offset = *offset,
		.capacity = capacity,
		.stride = stride,
	};
	*offset += page_round((uint64_t)capacity * stride);
}

static void shape_labels(struct heap_labels *labels, unsigned shift, uint64_t *offset)
{
	shape_region(&labels->sets, HEAP_LABELS_MAX_SETS >> shift, sizeof(struct heap_label_set),
		     offset);
	shape_region(&labels->text, HEAP_LABELS_MAX_TEXT >> shift, 1, offset);
	shape_region(&labels->threads, LABEL_THREADS >> shift, sizeof(uint32_t), offset);
	shape_region(&labels->histories, LABEL_THREADS >> shift, sizeof(struct heap_label_history),
		     offset);
}

/* Lays the regions out. Returns the bytes of the whole table. */
static uint64_t shape_regions(struct heap_region *regions, struct heap_labels *labels,
			      unsigned shift, unsigned generations)
{
	uint64_t offset = PAGE_BYTES;
	uint32_t slots = 0;

	for (unsigned i = 0; i < HEAP_REGION_KEYS; i++)
		shape_region(&regions[i], shape[i].capacity >> shift, shape[i].stride, &offset);
	for (unsigned g = 0; g < generations; g++)
		slots += HEAP_GENERATION_SLOTS(g);
	shape_region(&regions[HEAP_REGION_KEYS], slots, sizeof(uint64_t), &offset);
	shape_region(&regions[HEAP_REGION_LIVE], slots, sizeof(struct heap_live), &offset);
	shape_labels(labels, shift, &offset);
	return offset;
}

/* A child may be forked where nothing can be computed: it takes what is here. */
static char table_name[HEAP_NAME_BYTES];

/* A sealed memfd of @bytes. A file-size limit would not only refuse it but send
 * SIGXFSZ, so it is looked at first. */
static int memfd_new(uint64_t bytes, int *ret_fd)
{
	struct rlimit limit;
	int fd, r;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
		return -EFBIG;
	fd = memfd_create(table_name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(table_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Huge pages would turn a few touched records into megabytes. */
static void *map(uint64_t bytes, int flags, int fd)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void *carve(uint8_t **at, uint64_t bytes)
{
	void *p = *at;

	*at += page_round(bytes);
	return p;
}

/* The private memory: a page for the word that tells a child, then the rest. */
static int reserve_new(const struct heap_region *regions, const struct heap_labels *labels,
		       uint64_t stack_bytes)
{
	uint64_t keys = (uint64_t)regions[HEAP_REGION_KEYS].capacity * sizeof(uint64_t);
	uint64_t stacks = (uint64_t)regions[HEAP_REGION_STACKS].capacity * 2 * sizeof(uint32_t);
	uint64_t buckets = (uint64_t)regions[HEAP_REGION_BUCKETS].capacity * 2 * sizeof(uint32_t);
	uint64_t sets = (uint64_t)labels->sets.capacity * 2 * sizeof(uint32_t);
	uint64_t bytes = PAGE_BYTES + page_round(keys) + stack_bytes + page_round(stacks) +
			 page_round(buckets) + page_round(WALK_CACHE_BYTES) +
			 page_round(MODULES_CACHE_BYTES) + page_round(sets);
	uint8_t *at = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (!at)
		return -errno;
	if (madvise(at, PAGE_BYTES, MADV_WIPEONFORK) < 0) {
		int r = -errno;

		munmap(at, bytes);
		return r;
	}
	session.reserve = at;
	session.reserve_bytes = bytes;
	session.here = carve(&at, PAGE_BYTES);
	session.service_stack = carve(&at, stack_bytes); /* near: the same page of page tables */
	session.service_stack_bytes = stack_bytes;
	session.keys = carve(&at, keys);
	session.stack_index = carve(&at, stacks);
	session.bucket_index = carve(&at, buckets);
	session.rows = carve(&at, WALK_CACHE_BYTES);
	session.module_cache = carve(&at, MODULES_CACHE_BYTES);
	session.label_index = carve(&at, sets);
	return 0;
}

static void lead_into_labels(uint8_t *table, const struct heap_labels *labels)
{
	session.label_sets = (void *)(table + labels->sets.offset);
	session.label_text = (void *)(table + labels->text.offset);
	session.label_threads = (void *)(table + labels->threads.offset);
	session.label_histories = (void *)(table + labels->histories.offset);
	session.label_set_capacity = labels->sets.capacity;
	session.label_text_capacity = labels->text.capacity;
	session.label_thread_capacity = labels->threads.capacity;
}

static void lead_into(uint8_t *table, const struct heap_region *regions)
{
	session.table = (struct heap_header *)table;
	session.modules = (void *)(table + regions[HEAP_REGION_MODULES].offset);
	session.strings = (void *)(table + regions[HEAP_REGION_STRINGS].offset);
	session.frames = (void *)(table + regions[HEAP_REGION_FRAMES].offset);
	session.stacks = (void *)(table + regions[HEAP_REGION_STACKS].offset);
	session.buckets = (void *)(table + regions[HEAP_REGION_BUCKETS].offset);
	session.shared_keys = (void *)(table + regions[HEAP_REGION_KEYS].offset);
	session.live = (void *)(table + regions[HEAP_REGION_LIVE].offset);
	for (unsigned i = 0; i < HEAP_REGION_N; i++)
		session.capacity[i] = regions[i].capacity;
}

/* The magic comes last: without it this is no table yet. */
static void fill_header(struct heap_header *header, const struct heap_region *regions,
			const struct heap_labels *labels)
{
	struct timespec now;

	header->version = HEAP_TABLE_VERSION;
	header->header_bytes = sizeof(*header);
	header->table_bytes = session.table_bytes;
	header->rate_bytes = session.rate_bytes;
	clock_gettime(CLOCK_REALTIME, &now);
	header->start_unix_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	header->start_mono_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	header->pid = (uint32_t)getpid();
	header->state = HEAP_STATE_STARTING;
	memcpy(header->regions, regions, sizeof(header->regions));
	header->labels = *labels;
	__atomic_store_n(&header->magic, HEAP_TABLE_MAGIC, __ATOMIC_RELEASE);
}

static int try_new(unsigned shift, unsigned generations, uint64_t stack_bytes, int *ret_fd)
{
	struct heap_region regions[HEAP_REGION_N];
	struct heap_labels labels = {0};
	uint64_t bytes = shape_regions(regions, &labels, shift, generations);
	uint8_t *table;
	int fd, r;

	r = memfd_new(bytes, &fd);
	if (r < 0)
		return r;
	table = map(bytes, MAP_SHARED, fd);
	r = table ? reserve_new(regions, &labels, stack_bytes) : -errno;
	if (r < 0) {
		if (table)
			munmap(table, bytes);
		close(fd);
		return r;
	}
	session.table_bytes = bytes;
	session.n_generations = generations;
	lead_into(table, regions);
	lead_into_labels(table, &labels);
	fill_header(session.table, regions, &labels);
	*session.here = 1;
	*ret_fd = fd;
	return 0;
}

int table_new(const char *socket_path, int *ret_fd)
{
	int r;

	heap_name_of(socket_path, table_name);
	r = try_new(0, SESSION_MAX_GENERATIONS, SERVICE_STACK_BYTES, ret_fd);
	if (r < 0)
		r = try_new(SMALL_SHIFT, SMALL_GENERATIONS, SERVICE_STACK_SMALL_BYTES, ret_fd);
	return r;
}

static uint32_t take(uint32_t *used, uint32_t capacity, uint32_t n)
{
	uint32_t at = __atomic_load_n(used, __ATOMIC_RELAXED);

	if (n > capacity || at > capacity - n)
		return TABLE_FULL;
	at = __atomic_fetch_add(used, n, __ATOMIC_RELAXED);
	return at <= capacity - n ? at : TABLE_FULL;
}

uint32_t table_take(enum heap_region_id region, uint32_t n)
{
	return take(&session.table->regions[region].used, session.capacity[region], n);
}

uint32_t table_take_label_set(void)
{
	return take(&session.table->labels.sets.used, session.label_set_capacity, 1);
}

uint32_t table_take_label_text(uint32_t bytes)
{
	return take(&session.table->labels.text.used, session.label_text_capacity, bytes);
}

bool table_is_full(enum heap_region_id region)
{
	return __atomic_load_n(&session.table->regions[region].used, __ATOMIC_RELAXED) >=
	       session.capacity[region];
}

bool table_has_room(enum heap_region_id region)
{
	return __atomic_load_n(&session.table->regions[region].used, __ATOMIC_RELAXED) <
	       session.capacity[region] / 2;
}

static void copy_region(uint8_t *to, const uint8_t *from, struct heap_region *region,
			uint32_t capacity)
{
	if (region->used > capacity)
		region->used = capacity;
	memcpy(to + region->offset, from + region->offset, (uint64_t)region->used * region->stride);
}

/* What of a region a copy needs: all that was taken, but of the live objects, and of
 * the threads, which are not this process's. */
static void copy_records(uint8_t *to, const uint8_t *from)
{
	struct heap_header *header = (struct heap_header *)to;

	for (unsigned i = 0; i < HEAP_REGION_KEYS; i++)
		copy_region(to, from, &header->regions[i], session.capacity[i]);
	copy_region(to, from, &header->labels.sets, session.label_set_capacity);
	copy_region(to, from, &header->labels.text, session.label_text_capacity);
	header->labels.threads.used = header->labels.histories.used = 0;
	header->labels.refused = header->labels.threads_lost = 0;
}

/*
 * The live objects are those of the private keys, which are as old as the fork;
 * the sums are of a moment later, as the parent has gone on. So what was freed
 * is reckoned anew, as all that is not live: in-use is what this process has.
 */
static void copy_live(uint8_t *to, const struct heap_live *from)
{
	struct heap_region *regions = ((struct heap_header *)to)->regions;
	struct heap_bucket *buckets = (void *)(to + regions[HEAP_REGION_BUCKETS].offset);
	uint64_t *shared_keys = (void *)(to + regions[HEAP_REGION_KEYS].offset);
	struct heap_live *live = (void *)(to + regions[HEAP_REGION_LIVE].offset);
	uint32_t n_buckets = regions[HEAP_REGION_BUCKETS].used;

	for (uint32_t i = 0; i < n_buckets; i++) {
		buckets[i].free_objects = buckets[i].alloc_objects;
		buckets[i].free_bytes = buckets[i].alloc_bytes;
	}
	for (uint32_t slot = 0; slot < live_used_slots(); slot++) {
		struct heap_live value;
		uint64_t bytes;

		if (session.keys[slot] == 0)
			continue;
		value = from[slot];
		bytes = weight_bytes(value.size, value.objects);
		if (session.keys[slot] == LIVE_CLAIMED || value.bucket >= n_buckets ||
		    buckets[value.bucket].free_objects < value.objects ||
		    buckets[value.bucket].free_bytes < bytes) {
			session.keys[slot] = 0; /* another thread was at it: not ours */
			continue;
		}
		buckets[value.bucket].free_objects -= value.objects;
		buckets[value.bucket].free_bytes -= bytes;
		live[slot] = value;
		shared_keys[slot] = session.keys[slot];
	}
}

int table_clone(int *ret_fd)
{
	struct heap_header *header;
	uint8_t *table;
	int fd, r;

	r = memfd_new(session.table_bytes, &fd);
	if (r < 0)
		return r;
	table = map(session.table_bytes, MAP_SHARED, fd);
	if (!table) {
		r = -errno;
		close(fd);
		return r;
	}
	header = (struct heap_header *)table;
	*header = *session.table;
	header->pid = (uint32_t)getpid();
	memset(&header->request, 0, sizeof(header->request));
	memset(&header->reply, 0, sizeof(header->reply));
	copy_records(table, (uint8_t *)session.table);
	copy_live(table, session.live);

	if (mremap(table, session.table_bytes, session.table_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   session.table) == MAP_FAILED) {
		r = -errno;
		munmap(table, session.table_bytes);
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

void table_abandon(void)
{
	mmap(session.table, session.table_bytes, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}
