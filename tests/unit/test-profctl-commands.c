/* list and status, what is no command, and a profd that is not there. */
#include "tests/unit/profctl-canned.h"

#include <jansson.h>

/* ---- no daemon, bad usage */

static void test_no_daemon(void **state)
{
	static const char *const commands[] = {"list", "status", "snapshot"};
	struct harness *h = *state;
	char expected[512];

	snprintf(expected, sizeof(expected),
		 "profctl: cannot reach profd at %s: No such file or directory: start it with "
		 "\"systemctl start profd\", or run one command under a private one with "
		 "\"profctl run -- CMD\"\n",
		 h->socket);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		call_alone(h, commands[i], NULL, NULL, NULL);
		assert_int_equal(h->code, 3);
		assert_string_equal(h->err, expected);
		assert_string_equal(h->out, "");
	}
}

static void test_dead_socket(void **state)
{
	struct harness *h = *state;

	close(harness_listen(h->socket));
	call_alone(h, "list", NULL, NULL, NULL);
	assert_int_equal(h->code, 3);
	assert_non_null(strstr(h->err, "Connection refused: start it with"));
	assert_one_line(h->err);
}

static void test_usage_errors(void **state)
{
	static const struct {
		const char *args[4];
		const char *says;
	} cases[] = {
		{{NULL}, "no command given"},
		{{"frobnicate"}, "frobnicate: unknown command"},
		{{"--frobnicate", "list"}, "--frobnicate: unknown option"},
		{{"list", "x"}, "list takes no arguments"},
		{{"list", "--json=1"}, "--json=1: takes no value"},
		{{"status", "-z"}, "-z: unknown option: see \"profctl status --help\""},
		{{"--socket"}, "--socket: needs a value"},
		{{"snapshot", "--every", "5 parsecs"},
		 "--every: \"5 parsecs\" is not a duration: write it like 500ms, 30s, 5m or 2h"},
		{{"snapshot", "--every", "0s"}, "no time at all"},
		{{"snapshot", "--pid", "0"}, "--pid: \"0\" is not a number from 1"},
		{{"snapshot", "--pid", "12x"}, "\"12x\" is not a number"},
		{{"snapshot", "--type", "heap,head"}, "\"head\" is no type of profile"},
		{{"snapshot", "--type", ""}, "\"\" is no type of profile"},
		{{"snapshot", "--count", "3"}, "--count: needs --every"},
		{{"snapshot", "--all", "--comm=x"}, "give one of them"},
		{{"snapshot", "--seconds=3s", "--type=heap"}, "--type leaves out"},
		{{"run", "--every=1s", "--offcpu=x", "true"}, "at the end only"},
		{{"run", "--output=.", "--offcpu=x", "true"}, "does not go with"},
		{{"snapshot", "x"}, "snapshot takes only options"},
		{{"run"}, "no command to run"},
		{{"run", "--json", "true"}, "its output is the command's"},
		{{"run", "--output=.", "--cpu=x", "true"}, "--output: does not go with"},
		{{"run", "--every=1s", "--cpu=x", "true"}, "needs %t"},
		{{"run", "--cpu=a%z", "true"}, "write %p, %h, %t"},
		{{"run", "-F", "0", "true"}, "-F: \"0\" is not a number"},
	};
	struct harness *h = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const *a = cases[i].args;

		call_alone(h, a[0], a[1], a[2], a[3]);
		if (h->code != 2 || !strstr(h->err, cases[i].says))
			fail_msg("case %zu: exit %d: %s", i, h->code, h->err);
		assert_one_line(h->err);
		assert_string_equal(h->out, "");
	}
}

static void test_help_and_version(void **state)
{
	static const char *const commands[] = {"run", "snapshot", "list", "status", "top"};
	struct harness *h = *state;

	call_alone(h, "--help", NULL, NULL, NULL);
	assert_int_equal(h->code, 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		assert_non_null(strstr(h->out, commands[i]));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		call_alone(h, commands[i], "--help", NULL, NULL);
		assert_int_equal(h->code, 0);
		assert_string_equal(h->err, "");
		assert_non_null(strstr(h->out, "Example: profctl"));
	}
	call_alone(h, "--version", NULL, NULL, NULL);
	assert_int_equal(h->code, 0);
	assert_int_equal(strncmp(h->out, "profctl ", 8), 0);
}

static void test_standard_output_closed(void **state)
{
	struct harness *h = *state;
	char script[8192];
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", script, NULL};

	/* A full device is an error with a line; a reader that left is none. */
	snprintf(script, sizeof(script), "exec %s --help >/dev/full", h->program);
	harness_run(h, argv);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: standard output: No space left on device\n");
}

/* ---- list and status */

static void send_target(int fd, uint32_t pid, const char *comm, bool attached, const char *reason)
{
	Profd__Target target = PROFD__TARGET__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	target.pid = pid;
	target.comm = (char *)comm;
	target.unit = (char *)(attached ? "redis.service" : "");
	target.attached = attached;
	target.reason = (char *)reason;
	target.inuse_bytes = 36102424;
	target.inuse_objects = 12;
	target.rate_bytes = 524288;
	target.rss_bytes = 48 << 20;
	reply.kind_case = PROFD__REPLY__KIND_TARGET;
	reply.target = &target;
	fake_reply(fd, &reply, -1);
}

static void send_ended(int fd, const char *how, const char *path, bool writing)
{
	Profd__Ended ended = PROFD__ENDED__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	ended.pid = 99;
	ended.comm = (char *)"dead\n";
	ended.unit = (char *)"";
	ended.how = (char *)how;
	ended.unix_ns = 1795241000LL * 1000000000;
	ended.status_known = !writing;
	ended.signal = 11;
	ended.core_dumped = true;
	ended.inuse_bytes = 48 << 20;
	ended.writing = writing;
	ended.path = (char *)path;
	reply.kind_case = PROFD__REPLY__KIND_ENDED;
	reply.ended = &ended;
	fake_reply(fd, &reply, -1);
}

static void serve_ended(struct harness *h, int fd, const Profd__Request *request)
{
	send_ended(fd, "killed by SIGSEGV, core dumped", "/p/heap_dead_99.pb.gz", false);
	send_ended(fd, "killed or crashed", "", true);
	fake_done(fd, 0, 0);
}

static void test_list_ended(void **state)
{
	struct harness *h = *state;
	json_t *root, *list;

	call(h, serve_ended, "list", NULL);
	assert_string_equal(
		h->out,
		"\n"
		"PID  COMM   UNIT  ENDED                 HOW                             IN-USE  "
		"LAST HEAP\n"
		" 99  dead?  -     2026-11-21 06:03:20Z  killed by SIGSEGV, core dumped    48MB  "
		"/p/heap_dead_99.pb.gz\n"
		" 99  dead?  -     2026-11-21 06:03:20Z  killed or crashed                 48MB  "
		"being written\n");
	call(h, serve_ended, "--json", "list", NULL);
	root = json_loads(h->out, 0, NULL);
	list = json_object_get(root, "ended");
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "signal")),
			 11);
	assert_null(json_object_get(json_array_get(list, 0), "status"));
	assert_null(json_object_get(json_array_get(list, 1), "signal"));
	json_decref(root);
}

static void serve_list(struct harness *h, int fd, const Profd__Request *request)
{
	check(request->verb_case == PROFD__REQUEST__VERB_LIST);
	send_target(fd, 4711, "redis-server", true, "");
	send_target(fd, 12, "evil\n\033[2J\xff", false, "static binary");
	fake_done(fd, 0, 0);
}

static void test_list(void **state)
{
	struct harness *h = *state;

	call(h, serve_list, "list", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->err, "");
	assert_string_equal(h->out,
			    " PID  COMM          UNIT           CLIENT          IN-USE   RSS\n"
			    "4711  redis-server  redis.service  attached       34.43MB  48MB\n"
			    "  12  evil??[2J\xff    -              static binary        -  48MB\n");
}

static void test_list_json(void **state)
{
	struct harness *h = *state;
	json_t *root, *targets, *target;

	call(h, serve_list, "--json", "list", NULL);
	assert_int_equal(h->code, 0);
	root = json_loads(h->out, 0, NULL);
	targets = json_object_get(root, "targets");
	assert_int_equal(json_array_size(targets), 2);
	target = json_array_get(targets, 0);
	assert_int_equal(json_integer_value(json_object_get(target, "pid")), 4711);
	assert_true(json_is_true(json_object_get(target, "attached")));
	assert_int_equal(json_integer_value(json_object_get(target, "inuse_bytes")), 36102424);
	target = json_array_get(targets, 1);
	assert_string_equal(json_string_value(json_object_get(target, "comm")), "evil\n\033[2J?");
	assert_string_equal(json_string_value(json_object_get(target, "reason")), "static binary");
	json_decref(root);
}

static void serve_empty_list(struct harness *h, int fd, const Profd__Request *request)
{
	fake_done(fd, 0, 0);
}

static void test_empty_list(void **state)
{
	struct harness *h = *state;

	call(h, serve_empty_list, "list", NULL);
	assert_int_equal(h->code, 0);
	assert_one_line(h->err);
	call(h, serve_empty_list, "list", "--json", NULL);
	assert_string_equal(h->out, "{\n  \"targets\": [],\n  \"ended\": []\n}\n");
	assert_string_equal(h->err, "");
}

static void serve_status(struct harness *h, int fd, const Profd__Request *request)
{
	Profd__Counter a = PROFD__COUNTER__INIT, b = PROFD__COUNTER__INIT;
	Profd__Counter *counters[] = {&a, &b};
	Profd__State s = PROFD__STATE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;
	Profd__Histogram h1 = PROFD__HISTOGRAM__INIT, *histograms[] = {&h1};
	double bounds[] = {0.25, 1};
	uint64_t counts[] = {3, 0, 1};

	check(request->verb_case == PROFD__REQUEST__VERB_STATUS);
	h1.name = (char *)"duration";
	h1.help = (char *)"of a profile";
	h1.bounds = bounds;
	h1.n_bounds = 2;
	h1.counts = counts;
	h1.n_counts = 3;
	h1.sum = 2.5;
	s.histograms = histograms;
	s.n_histograms = 1;
	a.name = (char *)"samples";
	a.value = 12345;
	a.help = (char *)"CPU samples taken";
	b.name = (char *)"samples_lost";
	s.version = (char *)"0.1.0";
	s.pid = 99;
	s.uptime_ns = 7380 * NSEC_PER_SEC;
	s.event = (char *)"cpu-clock";
	s.event_note = (char *)"no hardware counter";
	s.frequency_hz = 99;
	s.state_dir = (char *)"/var/lib/profd";
	s.counters = counters;
	s.n_counters = 2;
	reply.kind_case = PROFD__REPLY__KIND_STATE;
	reply.state = &s;
	fake_reply(fd, &reply, -1);
	fake_done(fd, 0, 0);
}

static void test_status(void **state)
{
	struct harness *h = *state;

	call(h, serve_status, "status", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "profd 0.1.0, pid 99, up 2h3m\n"
				    "cpu       cpu-clock at 99 Hz (no hardware counter)\n"
				    "profiles  /var/lib/profd\n"
				    "\n"
				    "samples       12345  CPU samples taken\n"
				    "samples_lost      0\n"
				    "duration          4  of a profile: 625.0 ms on average\n");
}

static void test_status_json(void **state)
{
	struct harness *h = *state;
	json_t *root, *counters, *duration, *buckets;

	call(h, serve_status, "status", "--json", NULL);
	assert_int_equal(h->code, 0);
	root = json_loads(h->out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(root, "event")), "cpu-clock");
	counters = json_object_get(root, "counters");
	assert_int_equal(json_integer_value(json_object_get(counters, "samples")), 12345);
	duration = json_object_get(json_object_get(root, "histograms"), "duration");
	buckets = json_object_get(duration, "buckets");
	assert_int_equal(json_integer_value(json_object_get(duration, "count")), 4);
	assert_float_equal(json_real_value(json_object_get(duration, "sum_seconds")), 2.5, 0);
	assert_int_equal(json_integer_value(json_object_get(buckets, "0.25")), 3);
	assert_int_equal(json_integer_value(json_object_get(buckets, "1")), 0);
	assert_int_equal(json_integer_value(json_object_get(buckets, "+Inf")), 1);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_daemon),
		TEST(test_dead_socket),
		TEST(test_usage_errors),
		TEST(test_help_and_version),
		TEST(test_standard_output_closed),
		TEST(test_list_ended),
		TEST(test_list),
		TEST(test_list_json),
		TEST(test_empty_list),
		TEST(test_status),
		TEST(test_status_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
