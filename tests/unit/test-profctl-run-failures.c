/* profctl run: what can go wrong, and what it then says. */
#include "tests/unit/profctl-run-harness.h"

#define TIMERS_SAID                                                                                \
	"profctl: CPU samples by the program's own timers: user stacks only; perf_event_open was " \
	"refused: Permission denied: ask root\n"

/* Where perf events are refused the program samples itself, unless an event was
 * asked for by name. */
static void test_cpu_by_timers(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "refuse", 1);
	run(h, "echo cpu $PROFD_CPU", "--output", h->dir, NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "cpu 99\n");
	assert_non_null(strstr(h->err, TIMERS_SAID));
	assert_log(h, "watch\nwatch by timers 99\nfinish cpu heap\ngone\n");
	run(h, "echo cpu $PROFD_CPU; test -n \"$LD_PRELOAD\"", "--cpu", "/dev/null", "-F", "250",
	    NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "cpu 250\n");
	run(h, "echo ran", "--output", h->dir, "--event", "x", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profctl: perf_event_open: Permission denied: ask root\n");
	run(h, "echo ran $PROFD_CPU", "--heap", "/dev/null", NULL);
	assert_string_equal(h->out, "ran\n");
	assert_null(strstr(h->err, "Permission denied"));
}

static void test_cpu_by_timers_on_request(void **state)
{
	struct harness *h = *state;

	setenv("PROFD_CPU", "7", 1); /* of a run around this one */
	run(h, "echo cpu $PROFD_CPU", "--output", h->dir, NULL);
	assert_string_equal(h->out, "cpu\n");
	run(h, "echo cpu $PROFD_CPU", "--cpu", "/dev/null", NULL);
	assert_string_equal(h->out, "cpu\n");
	run(h, "echo cpu $PROFD_CPU", "--event", "timers", "--output", h->dir, NULL);
	assert_string_equal(h->out, "cpu 99\n");
	assert_log(h, "watch by timers 99\nfinish cpu heap\ngone\n");
	assert_null(strstr(h->err, "refused"));
	run(h, "echo ran", "--event", "timers", "-F", "1001", "--output", h->dir, NULL);
	assert_int_equal(h->code, 2);
	unsetenv("PROFD_CPU");
}

/* What is no refusal: there are no CPU samples, but the heap. */
static void test_cpu_not_to_be_had(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "unable", 1);
	run(h, "echo ran", "--output", h->dir, NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "ran\n");
	assert_non_null(strstr(h->err, "profctl: no CPU profile, only the heap: perf_event_open: "
				       "too many open files\n"));
	assert_log(h, "watch\nfinish heap\ngone\n");
	run(h, "echo ran", "--cpu", "/dev/null", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profctl: perf_event_open: too many open files\n");
}

static void test_daemon_that_does_not_start(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "die", 1);
	run(h, "echo ran", "--output", h->dir, NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profd: event: unknown\n"
				    "profctl: profd: did not start, so the command was not run\n");
}

static void test_daemon_that_vanishes(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "vanish", 1);
	run(h, "sleep 0.05; exit 7", "--output", h->dir, NULL);
	assert_int_equal(h->code, 7);
	assert_non_null(strstr(h->err, "profctl: profd: closed the connection"));
}

static void test_missing(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "missing", 1);
	run(h, "true", "--heap", "/dev/null", NULL);
	assert_int_equal(h->code, 0);
	assert_non_null(strstr(h->err, "no client attached\n"));
	assert_string_equal(strchr(h->err, '\n'), "\n");
}

static void test_nothing_runs_if_output_is_bad(void **state)
{
	struct harness *h = *state;
	char path[128];

	run(h, "echo ran", "--output", "/nonexistent", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_non_null(strstr(h->err, "profctl: /nonexistent: No such file or directory: "));
	snprintf(path, sizeof(path), "%s/none/x", h->dir);
	run(h, "echo ran", "--heap", path, NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
}

static void test_installation_is_incomplete(void **state)
{
	struct harness *h = *state;

	remove_file(h, "libprofd.so");
	run(h, "echo ran", "--output", h->dir, NULL);
	if (access("/usr/lib/profd/libprofd.so", F_OK) == 0)
		skip();
	assert_int_equal(h->code, 1);
	assert_non_null(strstr(h->err, "profctl: libprofd.so: not found beside profctl ("));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cpu_by_timers),
		TEST(test_cpu_by_timers_on_request),
		TEST(test_cpu_not_to_be_had),
		TEST(test_daemon_that_does_not_start),
		TEST(test_daemon_that_vanishes),
		TEST(test_missing),
		TEST(test_nothing_runs_if_output_is_bad),
		TEST(test_installation_is_incomplete),
	};

	if (strcmp(program_invocation_short_name, "profd") == 0)
		return be_profd(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
