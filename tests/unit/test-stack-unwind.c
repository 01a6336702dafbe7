/*
 * Walks over real stacks of this very process, taken in nested calls, a realigned
 * frame, a callback of the C library and a thread, whole and cut short.
 */
#include "daemon/stack/unwind.h"

#include <alloca.h>
#include <time.h>

#include "tests/unit/stack-world.h"

static void walks_nested_calls(void **state)
{
	struct world *w = *state;
	struct unwind_stats stats;

	outer(capture);
	walk(w);
	assert_true(IN(w, 0, at_capture));
	assert_true(IN(w, 1, at_inner));
	assert_true(IN(w, 2, at_middle));
	assert_true(IN(w, 3, at_outer));
	assert_int_equal(w->end, UNWIND_COMPLETE);
	assert_int_equal(address_of(w, 0), w->in.regs[UNWIND_RIP]);
	assert_agrees_with_oracle(w);
	unwinder_stats(w->unwinder, &stats);
	assert_int_equal(stats.steps_row, w->n - 1);
	assert_int_equal(stats.steps_libunwind + stats.steps_frame_pointer, 0);
	assert_int_equal(stats.ends[UNWIND_COMPLETE], 1);
}

static void keeps_the_innermost_frames(void **state)
{
	struct world *w = *state;

	outer(capture);
	w->n = unwinder_walk(w->unwinder, &w->in, w->frames, 3, &w->end);
	assert_int_equal(w->n, 3);
	assert_int_equal(w->end, UNWIND_DEPTH);
	assert_true(IN(w, 2, at_middle));
}

static void says_where_the_copy_ended(void **state)
{
	struct world *w = *state;
	size_t whole, all, least = 0;

	outer(capture);
	walk(w);
	all = w->n;
	whole = w->in.stack_bytes;
	for (size_t bytes = 0; bytes < 4096 && bytes < whole; bytes += 8) {
		w->in.stack_bytes = bytes;
		walk(w);
		if (w->n == all)
			break;
		assert_int_equal(w->end, UNWIND_COPY);
		assert_in_range(w->n, least, all);
		least = w->n;
	}
	assert_true(least >= 4);
}

static uint64_t aligned_sp;

/* A frame that gcc and clang realign, of a size they cannot know. */
SECTION(at_aligned) static void aligned(size_t n)
{
	_Alignas(128) volatile char line[128];
	volatile char *room = alloca(n);

	line[0] = room[0] = 1;
	__asm__ volatile("mov %%rsp, %0" : "=r"(aligned_sp));
	capture();
	sink += line[0] + room[0];
}

static void walks_realigned_frame(void **state)
{
	struct world *w = *state;

	for (size_t n = 1; n < 200; n += 40) {
		aligned(n);
		walk(w);
		assert_true(IN(w, 1, at_aligned));
		assert_int_equal(w->end, UNWIND_COMPLETE);
		assert_agrees_with_oracle(w);
	}
}

/* As of a thread that sleeps in the frame at @i, whose stack pointer is @sp. */
static void sleep_in(struct world *w, size_t i, uint64_t sp)
{
	uint64_t skip = sp - w->in.regs[UNWIND_RSP];

	w->in.regs[UNWIND_RIP] = address_of(w, i) + 1;
	w->in.regs[UNWIND_RSP] = sp;
	w->in.stack += skip;
	w->in.stack_bytes -= skip;
	w->in.unknown = UNWIND_ASLEEP_UNKNOWN;
	for (int reg = 0; reg < UNWIND_REG_N; reg++)
		if (w->in.unknown & 1u << reg)
			w->in.regs[reg] = sp + 64;
}

/* A walk ends where it needs what is not known, and until then it is the same. */
static void ends_at_a_register_that_is_not_known(void **state)
{
	struct world *w = *state;
	size_t n;

	aligned(40);
	walk(w);
	sleep_in(w, 1, aligned_sp);
	walk(w);
	assert_true(IN(w, 0, at_aligned));
	assert_int_equal(w->n, 1);
	assert_int_equal(w->end, UNWIND_NO_REG);

	outer(capture); /* where every frame is measured by the stack pointer */
	walk(w);
	assert_int_equal(w->end, UNWIND_COMPLETE);
	n = w->n;
	w->in.unknown = UNWIND_ASLEEP_UNKNOWN;
	walk(w);
	assert_int_equal(w->n, n);
	w->in.unknown = 0;
}

/* ---- through the C library */

SECTION(at_compare) static int compare(const void *a, const void *b)
{
	capture();
	return *(const int *)a - *(const int *)b;
}

SECTION(at_sorter) static void sorter(void)
{
	int numbers[] = {3, 1, 2};

	qsort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), compare);
	sink += numbers[0];
}

static void walks_through_a_callback(void **state)
{
	struct world *w = *state;
	size_t i = 2;

	sorter();
	walk(w);
	assert_true(IN(w, 1, at_compare));
	while (i < w->n && !IN(w, i, at_sorter))
		i++;
	assert_in_range(i, 3, 6);
	assert_int_equal(w->end, UNWIND_COMPLETE);
}

static void *thread_main(void *arg)
{
	outer(capture);
	return NULL;
}

static void walks_to_the_start_of_a_thread(void **state)
{
	struct world *w = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	walk(w);
	assert_true(IN(w, 3, at_outer));
	assert_int_equal(w->end, UNWIND_COMPLETE);
	assert_agrees_with_oracle(w);
}

static void tells_its_speed(void **state)
{
	struct world *w = *state;
	struct timespec from, to;
	unsigned rounds = 20000;
	double ns;

	outer(sorter);
	walk(w);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < rounds; i++)
		walk(w);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
	print_message("warm: %.0f ns a stack of %zu frames, %.1f ns a frame\n", ns / rounds, w->n,
		      ns / rounds / (double)w->n);
	assert_int_equal(w->end, UNWIND_COMPLETE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(walks_nested_calls),	       world_test(keeps_the_innermost_frames),
		world_test(says_where_the_copy_ended), world_test(walks_realigned_frame),
		world_test(ends_at_a_register_that_is_not_known),
		world_test(walks_through_a_callback),  world_test(walks_to_the_start_of_a_thread),
		world_test(tells_its_speed),
	};

	return cmocka_run_group_tests_name("stack-unwind", tests, NULL, NULL);
}
