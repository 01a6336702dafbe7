/* daemon/cpu/switch-record: the kernel's bytes, whole, cut and changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/cpu/switch-record.h"
#include "profd/base.h"

struct bytes {
	_Alignas(8) uint8_t at[128];
	size_t n;
};

static void put(struct bytes *b, const void *value, size_t n)
{
	memcpy(b->at + b->n, value, n);
	b->n += n;
}

static void put_u32(struct bytes *b, uint32_t a, uint32_t c)
{
	put(b, &a, 4);
	put(b, &c, 4);
}

static void put_u64(struct bytes *b, uint64_t value)
{
	put(b, &value, 8);
}

static void begin(struct bytes *b, uint32_t type, uint16_t misc)
{
	struct perf_event_header h = {.type = type, .misc = misc};

	b->n = 0;
	put(b, &h, sizeof(h));
}

static void end(struct bytes *b, uint32_t pid, uint32_t tid, uint64_t time_ns)
{
	uint16_t n;

	put_u32(b, pid, tid);
	put_u64(b, time_ns);
	n = (uint16_t)b->n;
	memcpy(b->at + offsetof(struct perf_event_header, size), &n, sizeof(n));
}

static void put_switch(struct bytes *b, uint16_t misc)
{
	begin(b, PERF_RECORD_SWITCH_CPU_WIDE, misc);
	put_u32(b, 30, 31);
	end(b, 20, 21, 12345);
}

static void test_switches(void **state)
{
	struct switch_record r;
	struct perf_event_header h;
	struct bytes b;
	uint64_t time_ns;

	put_switch(&b, PERF_RECORD_MISC_SWITCH_OUT);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_int_equal(r.pid, 20);
	assert_int_equal(r.tid, 21);
	assert_int_equal(r.other_tid, 31);
	assert_int_equal(r.time_ns, 12345);
	assert_false(r.in || r.preempted);
	put_switch(&b, PERF_RECORD_MISC_SWITCH_OUT | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_true(r.preempted && !r.in);
	put_switch(&b, 0);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_true(r.in);
	memcpy(&h, b.at, sizeof(h));
	memcpy(&time_ns, b.at + switch_record_time_offset(&h), 8);
	assert_int_equal(time_ns, 12345);
}

static void test_tasks_and_losses(void **state)
{
	struct switch_record r;
	struct bytes b;

	begin(&b, PERF_RECORD_EXIT, 0);
	put_u32(&b, 5, 1);
	put_u32(&b, 6, 1);
	put_u64(&b, 77);
	end(&b, 5, 6, 78);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_int_equal(r.pid, 5);
	assert_int_equal(r.tid, 6);
	begin(&b, PERF_RECORD_LOST, 0);
	put_u64(&b, 1);
	put_u64(&b, 99);
	end(&b, 5, 6, 78);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_int_equal(r.lost, 99);
	begin(&b, PERF_RECORD_LOST_SAMPLES, 0);
	put_u64(&b, 98);
	end(&b, 5, 6, 78);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), 0);
	assert_int_equal(r.lost, 98);
	begin(&b, PERF_RECORD_COMM, 0);
	put_u64(&b, 98);
	end(&b, 5, 6, 78);
	assert_int_equal(switch_record_parse(b.at, b.n, &r), -ENOTSUP);
}

static void test_malformed(void **state)
{
	static const uint32_t types[] = {PERF_RECORD_SWITCH_CPU_WIDE, PERF_RECORD_FORK,
					 PERF_RECORD_EXIT, PERF_RECORD_LOST,
					 PERF_RECORD_LOST_SAMPLES};
	static const size_t right[] = {1, 3, 3, 2, 1};
	struct switch_record r = {.pid = 4711};
	struct perf_event_header h;
	struct bytes b;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (size_t words = 0; words < 8; words++) {
			begin(&b, types[i], 0);
			for (size_t j = 0; j < words; j++)
				put_u64(&b, 1);
			end(&b, 1, 1, 1);
			if (words == right[i])
				continue;
			assert_int_equal(switch_record_parse(b.at, b.n, &r), -EBADMSG);
		}
	put_switch(&b, 0);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(switch_record_parse(b.at, n, &r), -EBADMSG);
	assert_int_equal(switch_record_parse(b.at, b.n + 8, &r), -EBADMSG);
	assert_int_equal(r.pid, 4711);
	h = (struct perf_event_header){.size = 16};
	assert_int_equal(switch_record_time_offset(&h), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_tasks_and_losses),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
