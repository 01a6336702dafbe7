/* daemon/cpu/ring, without a kernel behind it: what it writes is written here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/cpu/ring.h"
#include "profd/base.h"

#define DATA_BYTES 4096

static struct perf_event_mmap_page control;
static _Alignas(8) uint8_t data[DATA_BYTES];

/* A record: its header, and words that tell where they stand. */
static union {
	struct perf_event_header header;
	uint64_t words[DATA_BYTES / 8];
	uint8_t bytes[DATA_BYTES];
} record;

static void make_record(uint32_t type, uint16_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		record.words[i] = 1000 + i;
	record.header = (struct perf_event_header){.type = type, .size = bytes};
}

static struct perf_ring make_ring(uint64_t position)
{
	control.data_head = control.data_tail = position;
	return (struct perf_ring){
		.control = &control,
		.data = data,
		.data_bytes = DATA_BYTES,
		.head = position,
		.tail = position,
	};
}

/* As the kernel writes: round the end, then the head. */
static void write_bytes(size_t n)
{
	for (size_t i = 0; i < n; i++)
		data[(control.data_head + i) % DATA_BYTES] = record.bytes[i];
	control.data_head += n;
}

static void write_record(uint32_t type, uint16_t bytes)
{
	make_record(type, bytes);
	write_bytes(bytes);
}

static uint32_t read_type(const struct perf_ring *ring, int n)
{
	uint8_t scratch[DATA_BYTES];

	return ((const struct perf_event_header *)ring_read(ring, (size_t)n, scratch))->type;
}

static void test_records_come_back_in_order(void **state)
{
	struct perf_ring ring = make_ring(0);

	write_record(PERF_RECORD_FORK, 48);
	write_record(PERF_RECORD_EXIT, 64);
	assert_int_equal(ring_next(&ring), 0); /* not looked yet */
	ring_refresh(&ring);
	assert_int_equal(ring_next(&ring), 48);
	assert_int_equal(read_type(&ring, 48), PERF_RECORD_FORK);
	ring_advance(&ring, 48);
	assert_int_equal(ring_next(&ring), 64);
	assert_int_equal(read_type(&ring, 64), PERF_RECORD_EXIT);
	ring_advance(&ring, 64);
	assert_int_equal(ring_next(&ring), 0);
	assert_int_equal(control.data_tail, control.data_head);
}

/* At every place where a record can be cut by the end of the buffer. */
static void test_what_runs_round_the_end_is_joined(void **state)
{
	const uint16_t n = 368;
	uint8_t scratch[DATA_BYTES];

	for (uint64_t before = 0; before <= n; before += 8) {
		struct perf_ring ring = make_ring(5 * DATA_BYTES - before);
		const uint8_t *bytes;

		write_record(PERF_RECORD_SAMPLE, n);
		ring_refresh(&ring);
		assert_int_equal(ring_next(&ring), n);
		assert_int_equal(ring_load(&ring, 24), 1003);
		bytes = ring_read(&ring, n, scratch);
		assert_memory_equal(bytes, record.bytes, n);
		/* Copied only if it is in two pieces. */
		assert_int_equal(bytes == scratch, before > 0 && before < n);
	}
}

static const uint16_t no_sizes[] = {0, 7, 12, DATA_BYTES};

static void write_nonsense(uint16_t size)
{
	make_record(PERF_RECORD_EXIT, 48);
	record.header.size = size;
	write_bytes(48);
}

static void test_nonsense_is_refused(void **state)
{
	struct perf_ring ring;

	for (size_t i = 0; i < ARRAY_SIZE(no_sizes); i++) {
		ring = make_ring(64);
		write_nonsense(no_sizes[i]);
		ring_refresh(&ring);
		assert_int_equal(ring_next(&ring), -EBADMSG);
		ring_skip_all(&ring);
		assert_int_equal(ring_next(&ring), 0);
	}
	ring = make_ring(64);
	control.data_head = 64 + DATA_BYTES + 8; /* more than the buffer holds */
	ring_refresh(&ring);
	assert_int_equal(ring_next(&ring), -EBADMSG);
}

static size_t time_is_last(const struct perf_event_header *header)
{
	return header->size < 16 ? 0 : header->size - 8u;
}

static void test_the_next_ones_time_is_told(void **state)
{
	struct perf_ring ring = make_ring(DATA_BYTES - 16);
	uint64_t time_ns = 1;

	assert_int_equal(ring_look_ahead(&ring, time_is_last, &time_ns), 0);
	assert_int_equal(time_ns, 1);
	write_record(PERF_RECORD_FORK, 48);
	write_record(PERF_RECORD_EXIT, 8);
	ring_refresh(&ring);
	assert_int_equal(ring_look_ahead(&ring, time_is_last, &time_ns), 48);
	assert_int_equal(time_ns, 1005);
	ring_advance(&ring, 48);
	assert_int_equal(ring_look_ahead(&ring, time_is_last, &time_ns), 8);
	assert_int_equal(time_ns, 0);
	ring_advance(&ring, 8);
	write_nonsense(7);
	write_record(PERF_RECORD_FORK, 48);
	ring_refresh(&ring);
	assert_int_equal(ring_look_ahead(&ring, time_is_last, &time_ns), -EBADMSG);
	assert_int_equal(ring_next(&ring), 0); /* what followed could not be told apart */
	assert_int_equal(control.data_tail, control.data_head);
}

static void test_rings_stay_within_their_bound_for_any_number_of_cpus(void **state)
{
	const size_t most = 8u << 20, all = 32u << 20, least = 1u << 20;

	assert_int_equal(ring_fair_bytes(most, all, least, 1), most);
	for (long cpus = 2; cpus <= 32; cpus++) {
		size_t bytes = ring_fair_bytes(most, all, least, cpus);

		assert_int_equal(bytes & (bytes - 1), 0);
		assert_true(bytes * (size_t)cpus <= all);
		assert_true(bytes * 2 * (size_t)cpus > all || bytes == most);
	}
	assert_int_equal(ring_fair_bytes(most, all, least, 1000), least);
	assert_int_equal(ring_fair_bytes(most, all, least, -1), most); /* sysconf's error */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_come_back_in_order),
		cmocka_unit_test(test_what_runs_round_the_end_is_joined),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_the_next_ones_time_is_told),
		cmocka_unit_test(test_rings_stay_within_their_bound_for_any_number_of_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
