/* Reading heap tables: honest ones exactly, hostile ones without harm. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "profd/base.h"
#include "proto/heap_table.h"

#define OBJECTS(n) ((uint64_t)(n) << HEAP_OBJECT_SHIFT)
#define BYTES(n)   ((uint64_t)(n) << HEAP_BYTE_SHIFT)

struct table {
	int fd;
	size_t bytes;
	struct heap_header *header;
};

static void *at(struct table *t, enum heap_region_id id)
{
	return (char *)t->header + t->header->regions[id].offset;
}

static void set_region(struct heap_header *h, enum heap_region_id id, uint32_t stride)
{
	h->regions[id] = (struct heap_region){
		.offset = 4096 * (1 + (uint64_t)id), .capacity = 16, .stride = stride};
}

/* A small table: one module, one stack of two frames, one bucket. */
static void make_table(struct table *t, bool sealed)
{
	static const char path[] = "/usr/bin/demo";
	struct heap_header *h;

	t->bytes = 16 * 4096;
	t->fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(t->fd >= 0);
	assert_int_equal(ftruncate(t->fd, (off_t)t->bytes), 0);
	t->header = h = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	assert_true(h != MAP_FAILED);
	if (sealed)
		assert_int_equal(fcntl(t->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	*h = (struct heap_header){.magic = HEAP_TABLE_MAGIC,
				  .version = HEAP_TABLE_VERSION,
				  .header_bytes = sizeof(*h),
				  .table_bytes = t->bytes,
				  .rate_bytes = 524288};
	set_region(h, HEAP_REGION_MODULES, sizeof(struct heap_module));
	set_region(h, HEAP_REGION_STRINGS, 1);
	set_region(h, HEAP_REGION_FRAMES, 8);
	set_region(h, HEAP_REGION_STACKS, sizeof(struct heap_stack));
	set_region(h, HEAP_REGION_BUCKETS, sizeof(struct heap_bucket));
	set_region(h, HEAP_REGION_KEYS, 8);
	set_region(h, HEAP_REGION_LIVE, sizeof(struct heap_live));
	for (int i = 0; i < HEAP_REGION_N; i++)
		h->regions[i].used = 1;
	h->regions[HEAP_REGION_FRAMES].used = 2;
	h->regions[HEAP_REGION_STRINGS].used = sizeof(path) - 1;
	memcpy(at(t, HEAP_REGION_STRINGS), path, sizeof(path) - 1);
	*(struct heap_module *)at(t, HEAP_REGION_MODULES) =
		(struct heap_module){.ready = 1,
				     .path_bytes = sizeof(path) - 1,
				     .n_segments = 1,
				     .bias = 0x1000,
				     .segments = {{.vaddr = 0x100, .bytes = 0x100}},
				     .build_id_bytes = 2,
				     .build_id = {0xab, 0xcd}};
	((uint64_t *)at(t, HEAP_REGION_FRAMES))[0] = HEAP_FRAME(0, 0x123);
	((uint64_t *)at(t, HEAP_REGION_FRAMES))[1] = HEAP_FRAME(HEAP_NO_MODULE, 0x777);
	*(struct heap_stack *)at(t, HEAP_REGION_STACKS) =
		(struct heap_stack){.ready = 1, .n_frames = 2};
	*(struct heap_bucket *)at(t, HEAP_REGION_BUCKETS) =
		(struct heap_bucket){.ready = 1,
				     .size_class = 112,
				     .alloc_objects = OBJECTS(10),
				     .alloc_bytes = BYTES(1000),
				     .free_objects = OBJECTS(4),
				     .free_bytes = BYTES(400)};
}

static void drop_table(struct table *t)
{
	munmap(t->header, t->bytes);
	close(t->fd);
}

static void test_reads_what_is_there(void **state)
{
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(c->n_modules, 1);
	assert_string_equal(c->modules[0].path, "/usr/bin/demo");
	assert_int_equal(c->modules[0].build_id_bytes, 2);
	assert_int_equal(c->n_buckets, 1);
	assert_int_equal(c->buckets[0].n_frames, 2);
	assert_int_equal(c->frames[c->buckets[0].first_frame], HEAP_FRAME(0, 0x123));
	assert_int_equal(c->buckets[0].alloc_objects, 10);
	assert_int_equal(c->buckets[0].inuse_objects, 6);
	assert_int_equal(c->buckets[0].inuse_bytes, 600);
	heap_copy_free(c);
	drop_table(&t);
}

static void test_refuses_what_is_no_table(void **state)
{
	struct heap_header header;
	struct table t;

	make_table(&t, false);
	assert_int_equal(heap_table_check(t.fd, &header), -EPERM);
	drop_table(&t);
	make_table(&t, true);
	t.header->version = 7;
	assert_int_equal(heap_table_check(t.fd, &header), -EPROTONOSUPPORT);
	assert_int_equal(header.version, 7);
	t.header->magic++;
	assert_int_equal(heap_table_check(t.fd, &header), -EBADMSG);
	drop_table(&t);
}

static void test_refuses_regions_outside_the_table(void **state)
{
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	t.header->regions[HEAP_REGION_STACKS].offset = t.bytes - 8;
	assert_int_equal(heap_table_copy(t.fd, &c), -EBADMSG);
	t.header->regions[HEAP_REGION_STACKS].offset = UINT64_MAX - 8;
	assert_int_equal(heap_table_copy(t.fd, &c), -EBADMSG);
	drop_table(&t);
}

static void test_drops_records_with_wild_indexes(void **state)
{
	struct heap_stack *s;
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	s = at(&t, HEAP_REGION_STACKS);
	s->frames_index = 1; /* two frames from the second: one too many */
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(c->n_buckets, 0);
	heap_copy_free(c);
	s->frames_index = 0;
	((struct heap_bucket *)at(&t, HEAP_REGION_BUCKETS))->stack = 99;
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(c->n_buckets, 0);
	heap_copy_free(c);
	drop_table(&t);
}

static void test_tames_modules_and_paths(void **state)
{
	struct heap_module *m;
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	m = at(&t, HEAP_REGION_MODULES);
	((char *)at(&t, HEAP_REGION_STRINGS))[4] = '\n';
	m->n_segments = 1000;
	m->build_id_bytes = 255;
	((uint64_t *)at(&t, HEAP_REGION_FRAMES))[0] = HEAP_FRAME(500, 0x123);
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_string_equal(c->modules[0].path, "/usr_bin/demo");
	assert_int_equal(c->modules[0].n_segments, HEAP_SEGMENT_N);
	assert_int_equal(c->modules[0].build_id_bytes, HEAP_BUILD_ID_MAX);
	assert_int_equal(HEAP_FRAME_MODULE(c->frames[0]), HEAP_NO_MODULE);
	heap_copy_free(c);
	m->path_offset = 0xfffffff0;
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_string_equal(c->modules[0].path, "");
	heap_copy_free(c);
	drop_table(&t);
}

static void test_reads_a_punched_table(void **state)
{
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	assert_int_equal(fallocate(t.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096,
				   (off_t)t.bytes - 4096),
			 0);
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(c->n_buckets, 0);
	heap_copy_free(c);
	drop_table(&t);
}

static void test_frees_beyond_allocations_are_nothing(void **state)
{
	struct heap_bucket *b;
	struct heap_copy *c;
	struct table t;

	make_table(&t, true);
	b = at(&t, HEAP_REGION_BUCKETS);
	b->free_objects = OBJECTS(11);
	b->alloc_bytes = UINT64_MAX;
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(c->buckets[0].inuse_objects, 0);
	assert_int_equal(c->buckets[0].alloc_bytes, 0);
	heap_copy_free(c);
	drop_table(&t);
}

static void put_live(struct table *t, unsigned slot, uint64_t key, uint32_t bucket, uint32_t birth)
{
	((uint64_t *)at(t, HEAP_REGION_KEYS))[slot] = key;
	((struct heap_live *)at(t, HEAP_REGION_LIVE))[slot] =
		(struct heap_live){.size = 100, .bucket = bucket, .birth_ms = birth};
}

static void test_ages_of_live_objects(void **state)
{
	struct heap_age ages[HEAP_AGES_MAX];
	struct heap_copy *c;
	struct table t;
	size_t n;

	make_table(&t, true);
	t.header->start_mono_ms = 500;
	t.header->regions[HEAP_REGION_KEYS].used = 8;
	t.header->regions[HEAP_REGION_LIVE].used = 8;
	put_live(&t, 0, 0x1000, 0, 1000);
	put_live(&t, 1, 0, 0, 1); /* a free slot */
	put_live(&t, 2, 0x2000, 0, 9000);
	put_live(&t, 3, 1, 0, 2); /* claimed */
	put_live(&t, 4, 0x3000, 0, 4000);
	put_live(&t, 5, 0x4000, 77, 3);		/* a bucket that is not there */
	put_live(&t, 6, 0x5000, 0, UINT32_MAX); /* born in the future */
	put_live(&t, 7, 0x6000, 0, 100);
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(heap_table_ages(t.fd, c, 10500, ages, HEAP_AGES_MAX, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(ages[0].n_live, 5);
	assert_int_equal(ages[0].inuse_bytes, 600);
	assert_int_equal(ages[0].youngest_ms, 0);
	assert_int_equal(ages[0].median_ms, 6000);
	assert_int_equal(ages[0].oldest_ms, 9900);
	assert_int_equal(ages[0].n_addresses, 2);
	assert_int_equal(ages[0].addresses[0], 0x1122);
	assert_int_equal(ages[0].addresses[1], 0x776);
	heap_copy_free(c);
	drop_table(&t);
}

static void test_ages_of_the_largest_stacks_first(void **state)
{
	struct heap_age ages[HEAP_AGES_MAX];
	struct heap_copy *c;
	struct table t;
	size_t n;

	make_table(&t, true);
	t.header->regions[HEAP_REGION_STACKS].used = 12;
	t.header->regions[HEAP_REGION_BUCKETS].used = 13;
	for (uint32_t i = 0; i < 13; i++) { /* stack 3 has two buckets, of 800 in all */
		((struct heap_stack *)at(&t, HEAP_REGION_STACKS))[min(i, 11u)] =
			(struct heap_stack){.ready = 1, .n_frames = 1};
		((struct heap_bucket *)at(&t, HEAP_REGION_BUCKETS))[i] =
			(struct heap_bucket){.ready = 1,
					     .stack = i < 12 ? i : 3,
					     .alloc_bytes = BYTES(100 + (i < 12 ? i : 597))};
	}
	t.header->regions[HEAP_REGION_KEYS].used = 2;
	t.header->regions[HEAP_REGION_LIVE].used = 2;
	put_live(&t, 0, 0x1000, 3, 10);
	put_live(&t, 1, 0x2000, 12, 20);
	assert_int_equal(heap_table_copy(t.fd, &c), 0);
	assert_int_equal(heap_table_ages(t.fd, c, 100, ages, HEAP_AGES_MAX, &n), 0);
	assert_int_equal(n, HEAP_AGES_MAX);
	assert_int_equal(ages[0].inuse_bytes, 800);
	assert_int_equal(ages[0].n_live, 2);
	assert_int_equal(ages[0].youngest_ms, 80);
	assert_int_equal(ages[0].oldest_ms, 90);
	assert_int_equal(ages[1].inuse_bytes, 111);
	assert_int_equal(ages[1].n_live, 0);
	heap_copy_free(c);
	drop_table(&t);
}

static void test_request_is_seen_by_the_client(void **state)
{
	uint32_t first, second;
	struct table t;

	make_table(&t, true);
	assert_int_equal(heap_table_request(t.fd, t.header, HEAP_VERB_TRIM, 4711, &first), 0);
	assert_int_equal(t.header->request.seq, first);
	assert_int_equal(t.header->request.verb, HEAP_VERB_TRIM);
	assert_int_equal(t.header->request.budget_bytes, 4711);
	t.header->reply.seq = first + 1; /* an old answer must not pass for the next one */
	assert_int_equal(heap_table_request(t.fd, t.header, HEAP_VERB_TRIM, 1, &second), 0);
	assert_int_not_equal(second, first + 1);
	drop_table(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_is_there),
		cmocka_unit_test(test_refuses_what_is_no_table),
		cmocka_unit_test(test_refuses_regions_outside_the_table),
		cmocka_unit_test(test_drops_records_with_wild_indexes),
		cmocka_unit_test(test_tames_modules_and_paths),
		cmocka_unit_test(test_reads_a_punched_table),
		cmocka_unit_test(test_frees_beyond_allocations_are_nothing),
		cmocka_unit_test(test_ages_of_live_objects),
		cmocka_unit_test(test_ages_of_the_largest_stacks_first),
		cmocka_unit_test(test_request_is_seen_by_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
