/* CPU time out of a client's table: each look sees what has come since the last. */
#include "daemon/heap/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/heap_table.h"

#define STACKS	    3 /* two of CPU time, one of the heap */
#define PAGE	    4096
#define TABLE_BYTES (PAGE * (1 + HEAP_REGION_N))

static struct keeper *keeper;
static struct module_table *modules;

struct table {
	uint8_t *bytes;
	struct heap_header *header;
	struct heap_bucket *buckets;
	struct heap_client client;
};

static void *region(struct table *t, enum heap_region_id id, uint32_t capacity, uint32_t stride,
		    uint32_t used)
{
	t->header->regions[id] = (struct heap_region){
		.offset = (uint64_t)PAGE * (1 + id),
		.capacity = capacity,
		.stride = stride,
		.used = used,
	};
	return t->bytes + t->header->regions[id].offset;
}

static void fill(struct table *t)
{
	struct heap_stack *stacks;
	uint64_t *frames;

	region(t, HEAP_REGION_MODULES, 1, sizeof(struct heap_module), 0);
	region(t, HEAP_REGION_STRINGS, 1, 1, 0);
	frames = region(t, HEAP_REGION_FRAMES, 8, sizeof(uint64_t), STACKS);
	stacks = region(t, HEAP_REGION_STACKS, 8, sizeof(struct heap_stack), STACKS);
	t->buckets = region(t, HEAP_REGION_BUCKETS, 8, sizeof(struct heap_bucket), STACKS);
	region(t, HEAP_REGION_KEYS, 8, sizeof(uint64_t), 0);
	region(t, HEAP_REGION_LIVE, 8, sizeof(struct heap_live), 0);
	for (uint32_t i = 0; i < STACKS; i++) {
		frames[i] = HEAP_FRAME(HEAP_NO_MODULE, 0x1000 * (i + 1));
		stacks[i] = (struct heap_stack){
			.ready = 1,
			.frames_index = i,
			.n_frames = 1,
			.kind = i < 2 ? HEAP_KIND_CPU : HEAP_KIND_HEAP,
		};
		t->buckets[i] = (struct heap_bucket){.ready = 1, .stack = i};
	}
}

static int set_up(void **state)
{
	struct table *t = calloc(1, sizeof(*t));
	int fd = memfd_create(HEAP_TABLE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (!t || fd < 0 || ftruncate(fd, TABLE_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	t->bytes = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	t->header = (struct heap_header *)t->bytes;
	*t->header = (struct heap_header){
		.magic = HEAP_TABLE_MAGIC,
		.version = HEAP_TABLE_VERSION,
		.header_bytes = sizeof(*t->header),
		.table_bytes = TABLE_BYTES,
		.rate_bytes = 1,
		.cpu.hz = 99,
	};
	fill(t);
	t->client =
		(struct heap_client){.pid = getpid(), .pid_fd = -1, .table_fd = fd, .dead = true};
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct table *t = *state;

	heap_cpu_seen_free(t->client.cpu_seen);
	munmap(t->bytes, TABLE_BYTES);
	close(t->client.table_fd);
	free(t);
	return 0;
}

static void add(struct table *t, uint32_t bucket, uint64_t samples)
{
	t->buckets[bucket].alloc_objects += samples << HEAP_OBJECT_SHIFT;
	t->buckets[bucket].alloc_bytes += samples * 10 << HEAP_BYTE_SHIFT;
}

/* The samples of the stack whose frame is @address; all of it is taken. */
static int64_t taken(const struct heap_cpu_span *span, uint64_t address)
{
	for (size_t i = 0; i < span->profile.n_samples; i++) {
		const struct sample *s = &span->profile.samples[i];

		if (s->frames[0].offset + 1 != address)
			continue;
		assert_int_equal(s->values[HEAP_CPU_NS], s->values[HEAP_CPU_SAMPLES] * 10);
		return s->values[HEAP_CPU_SAMPLES];
	}
	return 0;
}

static struct heap_cpu_span take(struct table *t)
{
	struct heap_cpu_span span;

	assert_int_equal(heap_client_take_cpu(keeper, &t->client, modules, &span), 0);
	return span;
}

static void test_a_look_sees_what_is_new(void **state)
{
	struct table *t = *state;
	struct heap_cpu_span span;

	add(t, 0, 5);
	add(t, 2, 1000);
	span = take(t);
	assert_int_equal(span.profile.n_samples, 1);
	assert_int_equal(taken(&span, 0x1000), 5);
	heap_cpu_span_done(&span);
	add(t, 0, 2);
	add(t, 1, 7);
	span = take(t);
	assert_int_equal(span.profile.n_samples, 2);
	assert_int_equal(taken(&span, 0x1000), 2);
	assert_int_equal(taken(&span, 0x2000), 7);
	heap_cpu_span_done(&span);
	span = take(t);
	assert_int_equal(span.profile.n_samples, 0);
	heap_cpu_span_done(&span);
}

/* What a fork's child inherits is marked as freed. */
static void test_what_was_inherited_does_not_count(void **state)
{
	struct table *t = *state;
	struct heap_cpu_span span;

	add(t, 0, 5);
	t->buckets[0].free_objects = t->buckets[0].alloc_objects;
	t->buckets[0].free_bytes = t->buckets[0].alloc_bytes;
	add(t, 0, 3);
	span = take(t);
	assert_int_equal(taken(&span, 0x1000), 3);
	heap_cpu_span_done(&span);
}

static void test_losses_are_of_the_span(void **state)
{
	struct table *t = *state;
	struct heap_cpu_span span;

	t->header->cpu.lost = 4;
	t->header->cpu.missed = 2;
	t->header->cpu.refused = 1;
	span = take(t);
	assert_int_equal(span.lost, 4);
	assert_int_equal(span.missed, 2);
	assert_int_equal(span.refused, 1);
	heap_cpu_span_done(&span);
	t->header->cpu.lost = 5;
	t->header->cpu.missed = 1; /* nonsense */
	span = take(t);
	assert_int_equal(span.lost, 1);
	assert_int_equal(span.missed, 0);
	assert_int_equal(span.refused, 0);
	heap_cpu_span_done(&span);
}

static void test_counts_that_go_back_are_nothing(void **state)
{
	struct table *t = *state;
	struct heap_cpu_span span;

	add(t, 0, 5);
	span = take(t);
	heap_cpu_span_done(&span);
	t->buckets[0].alloc_objects = t->buckets[0].alloc_bytes = 0;
	span = take(t);
	assert_int_equal(span.profile.n_samples, 0);
	heap_cpu_span_done(&span);
}

static void test_off_is_no_data(void **state)
{
	struct table *t = *state;
	struct heap_cpu_span span;

	t->header->cpu.hz = 0;
	add(t, 0, 5);
	assert_int_equal(heap_client_take_cpu(keeper, &t->client, modules, &span), -ENODATA);
}

static void test_the_heap_has_none_of_it(void **state)
{
	struct table *t = *state;
	struct heap_profile profile;

	add(t, 0, 5);
	add(t, 2, 6);
	assert_int_equal(heap_client_read(keeper, &t->client, modules, &profile), 0);
	assert_int_equal(profile.n_samples, 1);
	assert_int_equal(profile.inuse_objects, 6);
	heap_profile_done(&profile);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_look_sees_what_is_new), TEST(test_what_was_inherited_does_not_count),
		TEST(test_losses_are_of_the_span),  TEST(test_counts_that_go_back_are_nothing),
		TEST(test_off_is_no_data),	    TEST(test_the_heap_has_none_of_it),
	};
	int r;

	if (keeper_new_local(&keeper) < 0 || module_table_new(&modules) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	module_table_free(modules);
	keeper_free(keeper);
	return r;
}
