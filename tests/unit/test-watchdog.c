/* The watchdog is fed for work, not for being there. */
#include "daemon/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/limits.h"

#define EVERY  (15 * NSEC_PER_SEC)
#define MINUTE (60 * NSEC_PER_SEC)

static void test_an_idle_daemon_is_fed(void **state)
{
	struct watchdog w = {.every_ns = EVERY};
	struct watchdog_facts f = {.now_ns = MINUTE};

	for (int i = 0; i < 100; i++, f.now_ns += MINUTE)
		assert_null(watchdog_judge(&w, &f));
}

static void test_rings_have_to_be_drained(void **state)
{
	struct watchdog w = {.every_ns = EVERY};
	struct watchdog_facts f = {.now_ns = MINUTE, .sampling = true, .drained_ns = MINUTE - 1};

	assert_null(watchdog_judge(&w, &f));
	f.now_ns += EVERY - 1;
	assert_null(watchdog_judge(&w, &f));
	f.now_ns += 1;
	assert_non_null(watchdog_judge(&w, &f));
	f.sampling = false;
	assert_null(watchdog_judge(&w, &f));
}

static void test_profiles_have_to_be_finished(void **state)
{
	struct watchdog w = {.every_ns = EVERY};
	struct watchdog_facts f = {.now_ns = MINUTE, .jobs = 3, .finished = 7};
	uint64_t patience = 4 * PROFD_SCRIBE_JOB_SECONDS * NSEC_PER_SEC;

	for (uint64_t t = 0; t <= patience; t += EVERY, f.now_ns += EVERY)
		assert_null(watchdog_judge(&w, &f));
	assert_non_null(watchdog_judge(&w, &f));
	f.finished++; /* one was: there is time again for the next */
	assert_null(watchdog_judge(&w, &f));
	f.now_ns += patience;
	assert_null(watchdog_judge(&w, &f));
	f.now_ns += EVERY;
	assert_non_null(watchdog_judge(&w, &f));
	f.jobs = 0;
	assert_null(watchdog_judge(&w, &f));
}

static void test_a_job_after_a_long_rest_has_its_time(void **state)
{
	struct watchdog w = {.every_ns = EVERY};
	struct watchdog_facts f = {.now_ns = MINUTE};

	assert_null(watchdog_judge(&w, &f));
	f.now_ns += 1000 * MINUTE;
	f.jobs = 1;
	assert_null(watchdog_judge(&w, &f));
	f.now_ns += EVERY;
	assert_null(watchdog_judge(&w, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_idle_daemon_is_fed),
		cmocka_unit_test(test_rings_have_to_be_drained),
		cmocka_unit_test(test_profiles_have_to_be_finished),
		cmocka_unit_test(test_a_job_after_a_long_rest_has_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
