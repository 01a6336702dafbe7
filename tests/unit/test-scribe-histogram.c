#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/scribe/histogram.h"
#include "profd/base.h"

/* What took just as long as a bound is of its bucket. */
static void test_bounds_belong_below(void **state)
{
	struct histogram h = {0};

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		uint64_t ns = (uint64_t)(histogram_bounds[i] * NSEC_PER_SEC + 0.5);

		assert_true(i == 0 || histogram_bounds[i] > histogram_bounds[i - 1]);
		h = (struct histogram){0};
		histogram_add(&h, ns);
		histogram_add(&h, ns + 1);
		assert_int_equal(h.counts[i], 1);
		assert_int_equal(h.counts[i + 1], 1);
		assert_int_equal(h.sum_ns, 2 * ns + 1);
	}
}

static void test_ends(void **state)
{
	struct histogram h = {0};

	histogram_add(&h, 0);
	histogram_add(&h, 3600 * NSEC_PER_SEC);
	assert_int_equal(h.counts[0], 1);
	assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 1);
	assert_int_equal(h.sum_ns, 3600 * NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_belong_below),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
