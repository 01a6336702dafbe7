/*
 * perf records from bytes: every field where it belongs, and every wrong length
 * refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <cmocka.h>

#include "daemon/cpu/record.h"
#include "daemon/cpu/ring.h"
#include "profd/base.h"

#define KERNEL_ADDRESS 0xffffffff81000000ULL

/* A record being put together. */
struct builder {
	size_t n;
	_Alignas(8) uint8_t bytes[RING_RECORD_MAX];
};

static struct builder b;
static uint64_t fixed_period; /* what the parser is told */

static void put(const void *bytes, size_t n)
{
	memcpy(b.bytes + b.n, bytes, n);
	b.n += n;
}

static void put_u64(uint64_t value)
{
	put(&value, sizeof(value));
}

static void put_u32(uint32_t value)
{
	put(&value, sizeof(value));
}

static void put_text(const char *text)
{
	char padded[64] = {0};

	strcpy(padded, text);
	put(padded, (strlen(text) + 8) & ~7u);
}

static void start(uint32_t type, uint16_t misc)
{
	struct perf_event_header h = {.type = type, .misc = misc};

	b.n = 0;
	put(&h, sizeof(h));
}

static void finish(void)
{
	((struct perf_event_header *)b.bytes)->size = (uint16_t)b.n;
}

static void put_trailer(void)
{
	put_u32(10);
	put_u32(11);
	put_u64(123456);
	put_u64(3);
	finish();
}

static int parse(struct record *ret)
{
	return record_parse(b.bytes, b.n, fixed_period, ret);
}

/* No shorter and no longer form of the record in @b may pass. */
static void check_every_other_length_fails(void)
{
	struct record r;
	size_t whole = b.n;

	for (size_t n = 8; n < whole; n += 8) {
		b.n = n;
		finish();
		assert_int_equal(parse(&r), -EBADMSG);
	}
	b.n = whole;
	finish();
	assert_int_equal(record_parse(b.bytes, whole - 8, fixed_period, &r), -EBADMSG);
	assert_int_equal(record_parse(b.bytes, whole + 8, fixed_period, &r), -EBADMSG);
	assert_int_equal(record_parse(b.bytes, 4, fixed_period, &r), -EBADMSG);
}

static void put_sample_head(uint64_t n_frames)
{
	start(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	put_u64(0x401000);
	put_u32(77);
	put_u32(78);
	put_u64(999);
	put_u64(2);
	if (fixed_period == 0)
		put_u64(10101010);
	put_u64(n_frames);
}

static void put_sample(uint64_t abi, uint64_t stack_bytes, uint64_t used)
{
	static const uint64_t chain[] = {PERF_CONTEXT_KERNEL, KERNEL_ADDRESS, KERNEL_ADDRESS + 8,
					 PERF_CONTEXT_USER, 0x1234};

	put_sample_head(ARRAY_SIZE(chain));
	put(chain, sizeof(chain));
	put_u64(abi);
	for (uint64_t i = 0; abi != 0 && i < RECORD_REGS_N; i++)
		put_u64(i * 3);
	put_u64(stack_bytes);
	for (uint64_t i = 0; i < stack_bytes / 8; i++)
		put_u64(0xabcd0000 + i);
	if (stack_bytes > 0)
		put_u64(used);
	finish();
}

static void test_sample(void **state)
{
	struct record r;
	uint64_t word;

	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 40);
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.type, PERF_RECORD_SAMPLE);
	assert_int_equal(r.time_ns, 999);
	assert_int_equal(r.sample.time_ns, 999);
	assert_int_equal(r.sample.pid, 77);
	assert_int_equal(r.sample.tid, 78);
	assert_int_equal(r.sample.cpu, 2);
	assert_int_equal(r.sample.period, 10101010);
	assert_int_equal(r.sample.n_kernel_frames, 2);
	assert_true(r.sample.kernel_frames[0] == KERNEL_ADDRESS);
	assert_true(r.sample.has_user);
	assert_int_equal(r.sample.regs[16], 48);
	assert_int_equal(r.sample.stack_bytes, 40);
	memcpy(&word, r.sample.stack + 8, sizeof(word));
	assert_int_equal(word, 0xabcd0001);
	check_every_other_length_fails();
}

static void test_sample_of_a_fixed_period_does_not_hold_it(void **state)
{
	struct record r;

	fixed_period = 5;
	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 40);
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.sample.period, 5);
	assert_int_equal(r.sample.cpu, 2);
	assert_int_equal(r.sample.n_kernel_frames, 2);
	assert_int_equal(r.sample.regs[16], 48);
	assert_int_equal(r.sample.stack_bytes, 40);
	check_every_other_length_fails();
	fixed_period = 0;
}

static void test_sample_of_a_kernel_thread_has_no_user(void **state)
{
	struct record r;

	put_sample(PERF_SAMPLE_REGS_ABI_NONE, 0, 0);
	assert_int_equal(parse(&r), 0);
	assert_false(r.sample.has_user);
	assert_null(r.sample.regs);
	assert_int_equal(r.sample.stack_bytes, 0);
	assert_int_equal(r.sample.n_kernel_frames, 2);
}

static void test_sample_of_a_32_bit_process_has_no_stack(void **state)
{
	struct record r;

	put_sample(PERF_SAMPLE_REGS_ABI_32, 64, 64);
	assert_int_equal(parse(&r), 0);
	assert_true(r.sample.has_user);
	assert_int_equal(r.sample.stack_bytes, 0);
}

static void test_sample_with_lying_counts_is_refused(void **state)
{
	struct record r;

	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 65); /* more used than there is */
	assert_int_equal(parse(&r), -EBADMSG);

	put_sample_head(1ULL << 61); /* times 8 is 0 */
	put_u64(PERF_SAMPLE_REGS_ABI_NONE);
	put_u64(0);
	finish();
	assert_int_equal(parse(&r), -EBADMSG);

	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 64);
	put_u64(0); /* something that is not accounted for */
	finish();
	assert_int_equal(parse(&r), -EBADMSG);

	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 64);
	memcpy(b.bytes + b.n - 80, &(uint64_t){UINT64_MAX}, 8); /* stack bytes */
	assert_int_equal(parse(&r), -EBADMSG);
}

static void put_mmap2(uint16_t misc, uint32_t protection, const char *path)
{
	start(PERF_RECORD_MMAP2, misc);
	put_u32(5);
	put_u32(6);
	put_u64(0x7f0000001000);
	put_u64(0x3000);
	put_u64(0x2000);
	if (misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		put("\x14\0\0\0ABCDEFGHIJKLMNOPQRST", 24);
	} else {
		put_u32(8);
		put_u32(1);
		put_u64(4711);
		put_u64(42);
	}
	put_u32(protection);
	put_u32(MAP_PRIVATE);
	put_text(path);
	put_trailer();
}

static void test_mmap_with_inode(void **state)
{
	struct record r;

	put_mmap2(PERF_RECORD_MISC_USER, PROT_READ | PROT_EXEC, "/usr/lib/with\nnewline.so");
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.time_ns, 123456);
	assert_int_equal(r.mmap.pid, 5);
	assert_int_equal(r.mmap.start, 0x7f0000001000);
	assert_int_equal(r.mmap.bytes, 0x3000);
	assert_int_equal(r.mmap.file_offset, 0x2000);
	assert_int_equal(r.mmap.key.dev, makedev(8, 1));
	assert_int_equal(r.mmap.key.inode, 4711);
	assert_int_equal(r.mmap.key.inode_generation, 42);
	assert_null(r.mmap.key.build_id);
	assert_true(r.mmap.executable);
	assert_string_equal(r.mmap.path, "/usr/lib/with\nnewline.so");
}

static void test_mmap_with_build_id(void **state)
{
	struct record r;

	put_mmap2(PERF_RECORD_MISC_MMAP_BUILD_ID, PROT_READ, "/bin/x");
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.mmap.key.build_id_bytes, 20);
	assert_memory_equal(r.mmap.key.build_id, "ABCDEFGHIJKLMNOPQRST", 20);
	assert_int_equal(r.mmap.key.inode, 0);
	assert_false(r.mmap.executable);
	b.bytes[40] = 21; /* longer than its place */
	assert_int_equal(parse(&r), -EBADMSG);
	b.bytes[40] = 0;
	assert_int_equal(parse(&r), -EBADMSG);
}

static void test_path_without_an_end_is_refused(void **state)
{
	struct record r;

	put_mmap2(0, PROT_EXEC, "/1234567");
	memset(b.bytes + 72, 'x', b.n - 72 - 24);
	assert_int_equal(parse(&r), -EBADMSG);
}

static void test_comm(void **state)
{
	struct record r;

	start(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);
	put_u32(20);
	put_u32(21);
	put_text("a (b) c");
	put_trailer();
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.comm.pid, 20);
	assert_int_equal(r.comm.tid, 21);
	assert_string_equal(r.comm.comm, "a (b) c");
	assert_true(r.comm.exec);
	((struct perf_event_header *)b.bytes)->misc = 0;
	assert_int_equal(parse(&r), 0);
	assert_false(r.comm.exec);
	check_every_other_length_fails();
}

static void put_task(uint32_t type)
{
	start(type, 0);
	put_u32(30);
	put_u32(31);
	put_u32(32);
	put_u32(33);
	put_u64(5);
	put_trailer();
}

static void test_fork_and_exit(void **state)
{
	static const uint32_t types[] = {PERF_RECORD_FORK, PERF_RECORD_EXIT};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		put_task(types[i]);
		assert_int_equal(parse(&r), 0);
		assert_int_equal(r.type, types[i]);
		assert_int_equal(r.task.pid, 30);
		assert_int_equal(r.task.parent, 31);
		assert_int_equal(r.task.tid, 32);
		check_every_other_length_fails();
	}
}

static void test_losses(void **state)
{
	struct record r;

	start(PERF_RECORD_LOST, 0);
	put_u64(1);
	put_u64(17);
	put_trailer();
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.lost, 17);
	check_every_other_length_fails();

	start(PERF_RECORD_LOST_SAMPLES, 0);
	put_u64(18);
	put_trailer();
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.lost, 18);
	check_every_other_length_fails();
}

static void test_throttle_and_strangers(void **state)
{
	struct record r;

	start(PERF_RECORD_THROTTLE, 0);
	put_u64(1);
	put_u64(2);
	put_u64(3);
	put_trailer();
	assert_int_equal(parse(&r), 0);
	check_every_other_length_fails();

	start(PERF_RECORD_NAMESPACES, 0);
	put_trailer();
	assert_int_equal(parse(&r), -ENOTSUP);
}

static void test_time_is_found_without_parsing(void **state)
{
	size_t offset;
	uint64_t time;

	put_sample(PERF_SAMPLE_REGS_ABI_64, 64, 64);
	offset = record_time_offset((void *)b.bytes);
	memcpy(&time, b.bytes + offset, sizeof(time));
	assert_int_equal(time, 999);

	put_task(PERF_RECORD_EXIT);
	offset = record_time_offset((void *)b.bytes);
	memcpy(&time, b.bytes + offset, sizeof(time));
	assert_int_equal(time, 123456);

	start(PERF_RECORD_SAMPLE, 0);
	finish();
	assert_int_equal(record_time_offset((void *)b.bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_sample_of_a_fixed_period_does_not_hold_it),
		cmocka_unit_test(test_sample_of_a_kernel_thread_has_no_user),
		cmocka_unit_test(test_sample_of_a_32_bit_process_has_no_stack),
		cmocka_unit_test(test_sample_with_lying_counts_is_refused),
		cmocka_unit_test(test_mmap_with_inode),
		cmocka_unit_test(test_mmap_with_build_id),
		cmocka_unit_test(test_path_without_an_end_is_refused),
		cmocka_unit_test(test_comm),
		cmocka_unit_test(test_fork_and_exit),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_throttle_and_strangers),
		cmocka_unit_test(test_time_is_found_without_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
