#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/preload/weight.c"
#include "client/preload/environment.c"

static void assert_near(double got, double want, double relative)
{
	if (fabs(got - want) > relative * fabs(want))
		fail_msg("%.17g is not %.17g", got, want);
}

static void test_expm1_agrees_with_libm(void **state)
{
	for (double x = 1e-15; x < 60; x *= 1.01)
		assert_near(exp_minus_1(-x), expm1(-x), 1e-12);
}

static void test_log_agrees_with_libm(void **state)
{
	for (double x = 1e-17; x < 1e17; x *= 1.003)
		if (fabs(x - 1) > 1e-6)
			assert_near(natural_log(x), log(x), 1e-12);
	assert_true(natural_log(1.0) == 0.0);
}

static void test_draws_have_the_distribution(void **state)
{
	enum { N = 400000 };
	const uint64_t rate = 524288;
	uint64_t seed = 42, below_mean = 0;
	double sum = 0, squares = 0;

	for (int i = 0; i < N; i++) {
		double x = (double)weight_draw(&seed, rate);

		sum += x;
		squares += x * x;
		below_mean += x <= (double)rate;
	}
	/* mean R, deviation R, and 1 - 1/e of all below the mean; 5 sigma */
	assert_near(sum / N, (double)rate + 0.5, 5 / sqrt(N));
	assert_near(sqrt(squares / N - sum / N * (sum / N)), (double)rate, 0.02);
	assert_near((double)below_mean / N, 1 - exp(-1), 0.01);
}

static void test_rate_one_samples_everything(void **state)
{
	uint64_t seed = 1;

	assert_int_equal(weight_draw(&seed, 1), 0);
	assert_int_equal(weight_objects(0, 1), 1 << HEAP_OBJECT_SHIFT);
	assert_int_equal(weight_objects(100, 1), 1 << HEAP_OBJECT_SHIFT);
	assert_int_equal(weight_bytes(100, 1 << HEAP_OBJECT_SHIFT), 100 << HEAP_BYTE_SHIFT);
}

static void test_weight_is_the_inverse_probability(void **state)
{
	static const uint64_t rates[] = {512, 524288, 1 << 30};

	for (size_t i = 0; i < 3; i++)
		for (double s = 1; s < 1e10; s *= 1.7) {
			uint64_t size = (uint64_t)s;
			double w = 1 / -expm1(-(double)size / (double)rates[i]);

			assert_near((double)weight_objects(size, rates[i]), w * 65536, 1e-5);
		}
	assert_int_equal(weight_objects(SIZE_MAX, 2), 1 << HEAP_OBJECT_SHIFT);
}

/* Allocations of one size, many times: what is estimated is what there was. */
static void test_estimate_is_unbiased(void **state)
{
	static const uint64_t sizes[] = {16, 1000, 4096, 20000};
	const uint64_t rate = 4096;

	for (size_t i = 0; i < 4; i++) {
		enum { N = 2000000 };
		uint64_t seed = 7 + i, countdown = weight_draw(&seed, rate), objects = 0;
		double p = -expm1(-(double)sizes[i] / (double)rate);

		for (int n = 0; n < N; n++) {
			if (sizes[i] < countdown) {
				countdown -= sizes[i];
				continue;
			}
			countdown = weight_draw(&seed, rate);
			objects += weight_objects(sizes[i], rate);
		}
		assert_near((double)objects / 65536, N, 5 * sqrt((1 - p) / p / N));
	}
}

static void test_huge_sizes_do_not_overflow(void **state)
{
	assert_int_equal(weight_bytes(1ULL << 50, 1 << 16), 1ULL << 54);
}

static void test_size_classes(void **state)
{
	static const uint64_t cases[][2] = {
		{0, 16},
		{1, 16},
		{16, 16},
		{17, 32},
		{128, 128},
		{129, 144},
		{144, 144},
		{145, 160},
		{256, 256},
		{257, 288},
		{512, 512},
		{513, 576},
		{1000, 1024},
		{1 << 20, 1 << 20},
		{(1 << 20) + 1, (1 << 20) + (1 << 17)},
	};
	uint64_t previous = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(weight_class(cases[i][0]), cases[i][1]);
	for (uint64_t size = 1; size < 100000; size++) {
		assert_true(weight_class(size) >= size);
		assert_true(weight_class(size) >= previous);
		assert_true(weight_class(size) <= size + 15 ||
			    weight_class(size) < size + size / 8 + 1);
		previous = weight_class(size);
	}
}

static void test_rates_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"1", 1},	   {"524288", 524288}, {"512k", 524288},
		{"512K", 524288},  {"512KiB", 524288}, {"2M", 2 << 20},
		{"1MiB", 1 << 20}, {"0", 0},	       {"1G", 1 << 30},
	};
	static const char *const bad[] = {"",	      "k",
					  "-1",	      " 1",
					  "1 K",      "1e6",
					  "12q",      "99999999999999",
					  "9999999G", "18446744073709551617"};
	uint64_t bytes = 7;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse_bytes(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bytes = 7;
		assert_false(parse_bytes(bad[i], &bytes));
		assert_int_equal(bytes, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expm1_agrees_with_libm),
		cmocka_unit_test(test_log_agrees_with_libm),
		cmocka_unit_test(test_draws_have_the_distribution),
		cmocka_unit_test(test_rate_one_samples_everything),
		cmocka_unit_test(test_weight_is_the_inverse_probability),
		cmocka_unit_test(test_estimate_is_unbiased),
		cmocka_unit_test(test_huge_sizes_do_not_overflow),
		cmocka_unit_test(test_size_classes),
		cmocka_unit_test(test_rates_are_parsed),
	};

	return cmocka_run_group_tests_name("preload-weight", tests, NULL, NULL);
}
