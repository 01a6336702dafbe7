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
	uint32_t version = 0;
	struct table t;

	make_table(&t, false);
	assert_int_equal(heap_table_check(t.fd, &version), -EPERM);
	drop_table(&t);
	make_table(&t, true);
	t.header->version = 7;
	assert_int_equal(heap_table_check(t.fd, &version), -EPROTONOSUPPORT);
	assert_int_equal(version, 7);
	t.header->magic++;
	assert_int_equal(heap_table_check(t.fd, &version), -EBADMSG);
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

static void test_request_is_seen_by_the_client(void **state)
{
	uint32_t first, second;
	struct table t;

	make_table(&t, true);
	assert_int_equal(heap_table_request(t.fd, HEAP_VERB_TRIM, 4711, &first), 0);
	assert_int_equal(t.header->request.seq, first);
	assert_int_equal(t.header->request.verb, HEAP_VERB_TRIM);
	assert_int_equal(t.header->request.budget_bytes, 4711);
	t.header->reply.seq = first + 1; /* an old answer must not pass for the next one */
	assert_int_equal(heap_table_request(t.fd, HEAP_VERB_TRIM, 1, &second), 0);
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
		cmocka_unit_test(test_request_is_seen_by_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
