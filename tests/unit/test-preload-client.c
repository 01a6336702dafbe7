/*
 * libprofd.so in a live process: this program runs itself under LD_PRELOAD, in a
 * role, takes the table as profd would, and compares what it says with what the
 * role did. At rate 1 all is exact.
 */
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/heap_table.h"
#include "tests/unit/preload-harness.h"
#include "tests/unit/preload-roles.h"

static void test_live_bytes_are_exact(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "live");
	assert_int_equal(c.table->magic, HEAP_TABLE_MAGIC);
	assert_int_equal(c.table->pid, c.pid);
	await_point(&c);
	assert_int_equal(c.table->state, HEAP_STATE_ACTIVE);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
	assert_int_equal(c.table->state, HEAP_STATE_EXITED);
}

static void test_failed_reallocations_change_nothing(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "realloc");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 1, 1000);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 1, 3000);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

/* What the C library keeps for threads that have ended is live, too: a stack's
 * thread-local storage, some of it of known size. So objects are told apart by
 * size class, of which only these have 16. */
static int64_t live_of_class(const struct heap_header *t, uint64_t size_class)
{
	const uint8_t *base = (const uint8_t *)t;
	const struct heap_bucket *b = (const void *)(base + t->regions[HEAP_REGION_BUCKETS].offset);
	int64_t n = 0;

	for (uint32_t i = 0; i < t->regions[HEAP_REGION_BUCKETS].used; i++)
		if (b[i].size_class == size_class)
			n += (int64_t)(b[i].alloc_objects - b[i].free_objects);
	return n >> HEAP_OBJECT_SHIFT;
}

static void test_no_phantoms_when_threads_swap_objects(void **state)
{
	int64_t before;
	struct client c;

	start(&c, "swap");
	await_point(&c);
	before = live_of_class(c.table, 16);
	let_go(&c);
	await_point(&c);
	sum(c.table);
	assert_int_equal(live_of_class(c.table, 16) - before, 64);
	assert_true(c.table->samples > 400000);
	for (int i = 0; i < HEAP_LOST_N; i++)
		assert_int_equal(c.table->lost[i], 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_every_function_is_counted(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "functions");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 9, 900);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_stacks_reach_the_start(void **state)
{
	const struct heap_stack *stacks;
	unsigned broken = 0, n;
	struct client c;

	start(&c, "live");
	await_point(&c);
	let_go(&c);
	await_point(&c);
	stacks = (const void *)((const uint8_t *)c.table +
				c.table->regions[HEAP_REGION_STACKS].offset);
	n = c.table->regions[HEAP_REGION_STACKS].used;
	assert_true(n > 0);
	for (unsigned i = 0; i < n; i++) {
		assert_true(stacks[i].n_frames >= 2);
		broken += (stacks[i].flags & HEAP_STACK_BROKEN) != 0;
	}
	assert_int_equal(broken, 0);
	assert_true(c.table->regions[HEAP_REGION_MODULES].used >= 2);
	let_go(&c);
	await_point(&c);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_fork_child_has_a_table_of_its_own(void **state)
{
	struct client parent, child;
	struct sums before, at_fork;

	start(&parent, "fork");
	await_point(&parent);
	before = sum(parent.table);
	let_go(&parent);
	await_point(&parent);
	at_fork = sum(parent.table);
	let_go(&parent);

	child = parent;
	child.table = take_table(parent.listener, &child.table_fd);
	assert_int_not_equal(child.table->pid, parent.pid);
	await_point(&child);
	assert_grown(&child, &before, N_OBJECTS / 2 + 1, N_OBJECTS / 2 * 100 + 7777);
	assert_grown(&parent, &at_fork, 0, 0);
	let_go(&child);
	await_point(&parent);
	assert_grown(&parent, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&parent);
	assert_int_equal(finish(&parent), 0);
}

static void test_fork_among_threads_does_not_hang(void **state)
{
	struct client c;

	start_limited(&c, "fork-storm", "1000", -1, 0);
	assert_int_equal(finish(&c), 0);
}

/* Raises a request as profd does. Returns the result. */
static uint32_t request_trim(const struct client *c, uint64_t budget_bytes)
{
	struct heap_header *t = (struct heap_header *)c->table;
	uint32_t seq = t->request.seq + 1;

	t->request.verb = HEAP_VERB_TRIM;
	t->request.budget_bytes = budget_bytes;
	__atomic_store_n(&t->request.seq, seq, __ATOMIC_RELEASE);
	syscall(SYS_futex, &t->request.seq, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (int ms = 0; __atomic_load_n(&t->reply.seq, __ATOMIC_ACQUIRE) != seq; ms++) {
		assert_true(ms < DEADLINE_MS);
		usleep(1000);
	}
	return t->reply.result;
}

static int64_t resident_bytes(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void test_trim_is_answered(void **state)
{
	struct client c;
	int64_t resident;

	start(&c, "trim");
	await_point(&c);
	assert_int_equal(request_trim(&c, 1000), HEAP_TRIM_OVER_BUDGET);
	assert_string_equal(c.table->reply.allocator, "glibc");
	assert_true(c.table->reply.before.free > 1000);
	resident = resident_bytes(c.pid);
	assert_int_equal(request_trim(&c, 1 << 30), HEAP_TRIM_DONE);
	assert_true(resident - resident_bytes(c.pid) > 5000000);
	assert_true(c.table->reply.before.in_use > 100000);
	assert_int_equal(c.table->reply.after.in_use, c.table->reply.before.in_use);
	assert_true(c.table->reply.duration_ns > 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void run_role(const char *role, const char *rate, int resource, rlim_t limit)
{
	struct client c;

	start_limited(&c, role, rate, resource, limit);
	assert_int_equal(finish(&c), 0);
}

static void test_errno_is_kept(void **state)
{
	run_role("errno", "1", -1, 0);
	run_role("errno", "5000", -1, 0);
}

static void test_no_descriptor_is_left(void **state)
{
	run_role("descriptors", "1", -1, 0);
}

static void test_signals_leave_nothing_stuck(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "signals");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&c);
	await_point(&c);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_process_ends_with_its_last_thread(void **state)
{
	run_role("last-thread", "1", -1, 0);
}

static void test_little_stack_is_used(void **state)
{
	struct client c;
	unsigned depth = 0;

	start_limited(&c, "small-stack", "1", -1, 0);
	wait_readable(c.out);
	assert_int_equal(read(c.out, &depth, sizeof(depth)), sizeof(depth));
	print_message("malloc reached %u bytes into the stack\n", depth);
	assert_in_range(depth, 200, 1200);
	assert_int_equal(finish(&c), 0);
}

static void test_low_limits_do_no_harm(void **state)
{
	run_role("alive", "1", RLIMIT_FSIZE, 65536);
	run_role("alive", "1", RLIMIT_FSIZE, 8 << 20); /* room for the small table */
	run_role("alive", "1", RLIMIT_NOFILE, 4);
	run_role("alive", "nonsense", -1, 0);
}

static void test_bad_rate_is_noted(void **state)
{
	struct client c;

	start_limited(&c, "alive", "nonsense", -1, 0);
	c.table = take_table(c.listener, &c.table_fd);
	assert_int_equal(finish(&c), 0);
	assert_int_equal(c.table->rate_bytes, 524288);
	assert_int_equal(c.table->notes & HEAP_NOTE_RATE_INVALID, HEAP_NOTE_RATE_INVALID);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_bytes_are_exact),
		cmocka_unit_test(test_failed_reallocations_change_nothing),
		cmocka_unit_test(test_no_phantoms_when_threads_swap_objects),
		cmocka_unit_test(test_every_function_is_counted),
		cmocka_unit_test(test_stacks_reach_the_start),
		cmocka_unit_test(test_fork_child_has_a_table_of_its_own),
		cmocka_unit_test(test_fork_among_threads_does_not_hang),
		cmocka_unit_test(test_trim_is_answered),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_no_descriptor_is_left),
		cmocka_unit_test(test_signals_leave_nothing_stuck),
		cmocka_unit_test(test_process_ends_with_its_last_thread),
		cmocka_unit_test(test_little_stack_is_used),
		cmocka_unit_test(test_low_limits_do_no_harm),
		cmocka_unit_test(test_bad_rate_is_noted),
	};
	int r;

	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return run_as(argv[2]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("SKIPPED: the sanitizer has an allocator of its own\n");
	return 0;
#endif
	if (!find_library()) {
		print_message("SKIPPED: no libprofd.so at %s\n", library);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	snprintf(socket_path, sizeof(socket_path), "/tmp/profd-test-%d.sock", getpid());
	r = cmocka_run_group_tests_name("preload-client", tests, NULL, NULL);
	unlink(socket_path);
	return r;
}
