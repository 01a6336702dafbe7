/*
 * daemon/profile/window: what a window may take, whose samples it has, and which
 * modules it still needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/profile/window.h"
#include "profd/base.h"
#include "profd/limits.h"

static const struct window_moment start = {.unix_ns = 1, .mono_ns = 1};
static struct windows *windows;
static struct window *window;

static int setup(void **state)
{
	int r = windows_new(&windows);

	return r < 0 ? r : window_open(windows, &start, &window);
}

static int teardown(void **state)
{
	windows_free(windows);
	return 0;
}

static void add(pid_t pid, uint32_t module, uint64_t offset)
{
	const struct frame frames[] = {{.module = module, .offset = offset},
				       {.module = module, .offset = 1},
				       {.module = 0, .offset = 2}};
	const struct sample s = {.frames = frames,
				 .n_frames = ARRAY_SIZE(frames),
				 .labels = {.pid = pid, .tid = pid, .comm = "x"},
				 .values = {1, 10}};

	windows_add(windows, &s);
}

static void test_modules_of_samples_are_kept(void **state)
{
	struct module_key one = {.inode = 1}, two = {.inode = 2}, three = {.inode = 3};
	struct module_table *modules;
	struct window_span span;
	uint32_t first, second, other;

	assert_int_equal(module_table_new(&modules), 0);
	first = module_get_file(modules, "/one", &one)->id;
	second = module_get_file(modules, "/two", &two)->id;
	other = module_get_file(modules, "/three", &three)->id;
	add(1, first, 7);
	add(1, second, 7);
	windows_keep_modules(windows, modules);
	module_sweep(modules, 3600 * NSEC_PER_SEC);
	assert_non_null(module_by_id(modules, first));
	assert_non_null(module_by_id(modules, second));
	assert_null(module_by_id(modules, other));

	/* with the samples goes the need of them */
	assert_int_equal(window_take(window, &start, &span), 0);
	aggregate_free(span.samples);
	windows_keep_modules(windows, modules);
	module_sweep(modules, 7200 * NSEC_PER_SEC);
	assert_int_equal(module_count(modules), 0);
	module_table_free(modules);
}

static void test_knows_whose_samples_it_has(void **state)
{
	add(7, 1, 1);
	add(9, 1, 1);
	assert_true(window_has_process(window, 7));
	assert_true(window_has_process(window, 9));
	assert_false(window_has_process(window, 8));
}

/* A deep stack of which every frame is another. */
static void add_deep(uint64_t i)
{
	struct frame frames[64];
	const struct sample s = {
		.frames = frames, .n_frames = ARRAY_SIZE(frames), .values = {1, 10}};

	for (size_t n = 0; n < ARRAY_SIZE(frames); n++)
		frames[n] = (struct frame){.module = 1, .offset = i * ARRAY_SIZE(frames) + n};
	windows_add(windows, &s);
}

static void test_bytes_have_a_limit(void **state)
{
	uint64_t n = 0, refused;

	while (!window_is_full(window) && n < PROFD_MAX_WINDOW_STACKS)
		add_deep(n++);
	assert_true(n < PROFD_MAX_WINDOW_STACKS / 2);
	assert_true(windows_bytes(windows) <= PROFD_MAX_WINDOW_BYTES + 4096);
	refused = windows_refused(windows);
	assert_true(refused <= 1); /* the one in which it became full */
	add_deep(0);		   /* what it knows it goes on counting */
	assert_int_equal(windows_refused(windows), refused);
	add_deep(n);
	assert_int_equal(windows_refused(windows), refused + 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_modules_of_samples_are_kept),
		T(test_knows_whose_samples_it_has),
		T(test_bytes_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
