/* daemon/cpu/event: the names that events have, and what is sampled then. */
#include "tests/unit/sampler-harness.h"

#include <sys/resource.h>

#include "daemon/cpu/event.h"
#include "daemon/cpu/record.h"

static void check_refused(const char *event, int error, const char *expected)
{
	struct sampler_config config = {.event = event};
	struct sampler *s = NULL;
	char why[512] = "";
	int rc = sampler_new(keeper, &config, &s, why, sizeof(why));

	if (rc == -EACCES || rc == -EPERM) {
		print_message("SKIPPED: no perf events here: %s\n", why);
		skip();
	}
	assert_int_equal(rc, error);
	assert_null(s);
	assert_non_null(strstr(why, expected));
	assert_null(strchr(why, '\n'));
}

static void test_unknown_event_names_those_there_are(void **state)
{
	check_refused("no-such-event", -ENOENT, "no such event; this machine has: ");
	check_refused("no-such-event", -ENOENT, "cpu-clock, task-clock, page-faults");
	check_refused("", -ENOENT, "cpu-clock");
	check_refused("cycles:nonsense", -ENOENT, "no such event");
	check_refused("sched:../sched_switch", -ENOENT, "no such event");
	check_refused("cpu-clock:period=1000", -EINVAL, ":freq=");
	check_refused("cpu-clock:freq=1000000", -ERANGE, "at most");
	check_refused("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		      -ENAMETOOLONG, "longer than the 63 bytes");
}

static void test_event_that_the_machine_lacks_is_told_from_a_misspelt_one(void **state)
{
	struct sampler_config config = {.event = "cycles"};
	struct sampler *s = NULL;
	char why[512] = "";

	if (sampler_new(keeper, &config, &s, why, sizeof(why)) >= 0) {
		sampler_free(s);
		print_message("SKIPPED: this machine counts cycles\n");
		skip();
	}
	check_refused("cycles", -ENOENT,
		      "event cycles: this machine's kernel has no such counter; "
		      "it has: cpu-clock, task-clock");
}

static void check_event(const char *name, const char *type, enum sampler_measure measure)
{
	struct event e;

	assert_int_equal(event_find(keeper, name, &e), 0);
	assert_string_equal(e.name, name);
	assert_string_equal(e.type, type);
	assert_int_equal(e.measure, measure);
}

static void test_event_names_have_many_spellings(void **state)
{
	static const char *const names[] = {"cpu-clock", "cpu_clock", "CPU-CLOCK",
					    "PERF_COUNT_SW_CPU_CLOCK", "perf::cpu-clock"};
	struct event e;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		check_event(names[i], "cpu-clock", SAMPLER_TIME);
		assert_int_equal(event_find(keeper, names[i], &e), 0);
		assert_int_equal(e.attr.config, PERF_COUNT_SW_CPU_CLOCK);
	}
	check_event("task-clock", "task-clock", SAMPLER_TIME);
	check_event("context_switches", "context-switches", SAMPLER_EVENTS);
	check_event("page_faults:period=1", "page-faults", SAMPLER_EVENTS);
	check_event("faults:u", "page-faults:u", SAMPLER_EVENTS);
	check_event("cycles", "cycles", SAMPLER_CYCLES);
	check_event("cycles:u", "cycles:u", SAMPLER_CYCLES);
	check_event("cycles:period=100000", "cycles", SAMPLER_EVENTS);
	check_event("instructions", "instructions", SAMPLER_EVENTS);
	assert_true(sampler_measures_time(keeper, NULL));
	assert_true(sampler_measures_time(keeper, "cpu-clock"));
	assert_false(sampler_measures_time(keeper, "page-faults"));
	assert_int_equal(event_find(keeper, "cycles:u", &e), 0);
	assert_int_equal(e.attr.exclude_kernel, 1);
	assert_int_equal(event_find(keeper, "cycles:freq=250", &e), 0);
	assert_int_equal(e.own_frequency_hz, 250);
	assert_int_equal(e.own_period, 0);
	assert_int_equal(event_find(keeper, "page-faults:period=7", &e), 0);
	assert_int_equal(e.own_period, 7);
}

/* How often, and what a sample then holds: as far as a machine without hardware
 * counters can tell. */
static void test_attr_of_hardware_events(void **state)
{
	struct event e;

	assert_int_equal(event_find(keeper, "cycles", &e), 0);
	event_set_sampling(&e, 99, 4096, 1 << 20, false);
	assert_int_equal(e.attr.type, PERF_TYPE_HARDWARE);
	assert_int_equal(e.attr.config, PERF_COUNT_HW_CPU_CYCLES);
	assert_int_equal(e.attr.freq, 1);
	assert_int_equal(e.attr.sample_freq, 99);
	assert_int_equal(e.attr.sample_type, RECORD_SAMPLE_TYPE);
	assert_int_equal(event_find(keeper, "instructions:period=1000000", &e), 0);
	event_set_sampling(&e, 99, 4096, 1 << 20, false);
	assert_int_equal(e.attr.config, PERF_COUNT_HW_INSTRUCTIONS);
	assert_int_equal(e.attr.freq, 0);
	assert_int_equal(e.attr.sample_period, 1000000);
	assert_int_equal(e.attr.sample_type, RECORD_SAMPLE_TYPE & ~PERF_SAMPLE_PERIOD);
}

static void test_tracepoint(void **state)
{
	struct event e;
	int rc = event_find(keeper, "sched:sched_switch", &e);

	if (rc == -ENXIO || rc == -EACCES) {
		print_message("SKIPPED: no tracefs here, or it is closed\n");
		skip();
	}
	check_event("sched:sched_switch", "sched:sched_switch", SAMPLER_EVENTS);
	check_event("sched:sched_switch:k:period=3", "sched:sched_switch:k", SAMPLER_EVENTS);
	assert_int_equal(event_find(keeper, "sched:sched_switch:k:period=3", &e), 0);
	assert_int_equal(e.attr.type, PERF_TYPE_TRACEPOINT);
	assert_true(e.attr.config > 0);
	assert_int_equal(e.own_period, 3);
	assert_int_equal(e.attr.exclude_user, 1);
	assert_true(e.in_kernel);
	assert_int_equal(event_find(keeper, "sched:sched_switch:nonsense", &e), -ENOENT);
	assert_int_equal(event_find(keeper, "sched:no_such_thing", &e), -ENOENT);
}

/* Every 5th fault: the samples are a fifth of the faults, and stand for all. */
static void test_fixed_period_is_kept(void **state)
{
	struct sampler_config config = {.event = "page-faults:period=5", .stack_bytes = 512};
	struct sampler *s = NULL;
	struct seen seen = {0};
	int64_t values[SAMPLER_VALUES_MAX];
	struct rusage before, after;
	double faults;
	int go;

	getrusage(RUSAGE_CHILDREN, &before);
	config.pid = seen.pid = start_program("exec /bin/true", &go);
	open_or_skip(&config, &s);
	assert_int_equal(sampler_frequency(s), 0);
	assert_int_equal(sampler_period(s), 5);
	let_go(go, seen.pid);
	getrusage(RUSAGE_CHILDREN, &after);
	sampler_drain(s, UINT64_MAX, &handlers, &seen);
	faults = (double)(after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt);
	print_message("%lu samples that stand for %lu faults; %.0f happened\n", seen.of_pid,
		      seen.period, faults);
	assert_true(seen.of_pid > 10);
	assert_int_equal(seen.period, 5 * seen.of_pid);
	assert_true((double)seen.period <= faults);
	assert_int_equal(sampler_values(s, 2, 5, values), 2);
	assert_int_equal(values[0], 2);
	assert_int_equal(values[1], 10);
	sampler_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_event_names_those_there_are),
		cmocka_unit_test(test_event_that_the_machine_lacks_is_told_from_a_misspelt_one),
		cmocka_unit_test(test_event_names_have_many_spellings),
		cmocka_unit_test(test_attr_of_hardware_events),
		cmocka_unit_test(test_tracepoint),
		cmocka_unit_test(test_fixed_period_is_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
