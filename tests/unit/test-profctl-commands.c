/* snapshot, list and status, as a user sees them, against a canned profd. */
#include "tests/unit/profctl-harness.h"

#include <jansson.h>

#include "profd/limits.h"

typedef void (*serve_t)(struct harness *h, int fd, const Profd__Request *request);

/* One connection, one request, and what @serve answers; then it hangs up. */
static void be_profd(struct harness *h, int listen_fd, serve_t serve)
{
	Profd__Request *request;
	int fd;

	alarm(HARNESS_PATIENCE_S);
	fd = accept(listen_fd, NULL, NULL);
	request = fd >= 0 ? fake_receive(fd) : NULL;
	if (request)
		serve(h, fd, request);
	_exit(request ? 0 : 1);
}

/* Runs profctl with the arguments, up to NULL, against @serve. */
static void call(struct harness *h, serve_t serve, ...)
{
	char *argv[20] = {};
	int listen_fd, status = 0, n = 1;
	va_list args;
	pid_t pid;

	va_start(args, serve);
	while ((argv[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	unlink(h->socket);
	listen_fd = harness_listen(h->socket);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_profd(h, listen_fd, serve);
	close(listen_fd);
	harness_run(h, argv);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0); /* it was asked, and asked what it expected */
}

/* The same with nobody there. */
static void call_alone(struct harness *h, const char *a, const char *b, const char *c,
		       const char *d)
{
	char *argv[] = {NULL, (char *)a, (char *)b, (char *)c, (char *)d, NULL};

	harness_run(h, argv);
}

static void assert_one_line(const char *text)
{
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n'), "\n");
	assert_int_equal(strncmp(text, "profctl: ", 9), 0);
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

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

	check(request->verb_case == PROFD__REQUEST__VERB_STATUS);
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
				    "samples_lost      0\n");
}

static void test_status_json(void **state)
{
	struct harness *h = *state;
	json_t *root, *counters;

	call(h, serve_status, "status", "--json", NULL);
	assert_int_equal(h->code, 0);
	root = json_loads(h->out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(root, "event")), "cpu-clock");
	counters = json_object_get(root, "counters");
	assert_int_equal(json_integer_value(json_object_get(counters, "samples")), 12345);
	json_decref(root);
}

/* ---- snapshot */

static void serve_stored(struct harness *h, int fd, const Profd__Request *request)
{
	const Profd__Snapshot *s = request->snapshot;

	check(request->verb_case == PROFD__REQUEST__VERB_SNAPSHOT);
	check(s->n_types == 2 && !strcmp(s->types[0], "cpu") && !strcmp(s->types[1], "heap"));
	check(s->pid == 4711 && s->comm[0] == '\0' && s->unit[0] == '\0');
	check(s->every_ns == 1500 * NSEC_PER_MSEC && s->count == 2);
	check(s->seconds_ns == 3 * NSEC_PER_SEC && s->no_trim && !s->send_files);
	fake_file(fd, "heap", 4711, "h.pb.gz", "/v/h.pb.gz", NULL);
	fake_file(fd, "cpu", 0, "c.pb.gz", "/v/c.pb.gz", NULL);
	fake_done(fd, 2, 0);
}

static void test_snapshot_prints_paths(void **state)
{
	struct harness *h = *state;

	call(h, serve_stored, "snapshot", "--pid", "4711", "--type=cpu,heap,cpu", "--every=1.5s",
	     "--count=2", "--seconds=3", "--no-trim", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "/v/h.pb.gz\n/v/c.pb.gz\n");
	/* No terminal: neither progress nor trim lines. */
	assert_string_equal(h->err, "");
}

static void serve_defaults(struct harness *h, int fd, const Profd__Request *request)
{
	const Profd__Snapshot *s = request->snapshot;

	check(s->n_types == 1 && !strcmp(s->types[0], "heap"));
	check(s->pid == 0 && s->every_ns == 0 && s->count == 0 && !s->no_trim);
	fake_file(fd, "heap", 4711, "h.pb.gz", "/v/h.pb.gz", NULL);
	fake_done(fd, 1, 0);
}

/* Nothing of off-CPU time is known before it is asked for. */
static void serve_offcpu(struct harness *h, int fd, const Profd__Request *request)
{
	const Profd__Snapshot *s = request->snapshot;

	check(s->n_types == 1 && !strcmp(s->types[0], "offcpu"));
	check(s->seconds_ns == 10 * NSEC_PER_SEC);
	fake_file(fd, "offcpu", 0, "o.pb.gz", "/v/o.pb.gz", NULL);
	fake_done(fd, 1, 0);
}

static void test_snapshot_of_offcpu_measures(void **state)
{
	struct harness *h = *state;

	call(h, serve_offcpu, "snapshot", "--type=offcpu", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "/v/o.pb.gz\n");
}

static void test_snapshot_defaults_and_verbose(void **state)
{
	struct harness *h = *state;

	call(h, serve_defaults, "snapshot", "-v", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "/v/h.pb.gz\n");
	assert_string_equal(h->err, "profctl: redis (4711): trim 1 @0.5s: rss 2->1 MB\n");
}

static void test_snapshot_json(void **state)
{
	struct harness *h = *state;

	call(h, serve_defaults, "snapshot", "--json", NULL);
	assert_string_equal(h->out,
			    "{\"type\":\"heap\",\"pid\":4711,\"comm\":\"redis\",\"index\":1,"
			    "\"path\":\"/v/h.pb.gz\",\"trim\":\"trim 1 @0.5s: rss 2->1 MB\"}\n");
}

static void serve_missing(struct harness *h, int fd, const Profd__Request *request)
{
	fake_missing(fd, "heap", 4711, "process exited during the snapshot");
	fake_file(fd, "heap", 12, "h.pb.gz", "/v/h.pb.gz", NULL);
	fake_done(fd, 1, 1);
}

static void test_missing_is_said_and_others_follow(void **state)
{
	struct harness *h = *state;

	call(h, serve_missing, "snapshot", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "/v/h.pb.gz\n");
	assert_string_equal(h->err,
			    "profctl: heap of redis (4711): process exited during the snapshot\n");
}

static void serve_nothing(struct harness *h, int fd, const Profd__Request *request)
{
	fake_done(fd, 0, 0);
}

static void serve_error(struct harness *h, int fd, const Profd__Request *request)
{
	fake_error(fd, "pid 4711: no such process: see \"profctl list\"");
}

static void test_refusals(void **state)
{
	struct harness *h = *state;

	call(h, serve_error, "snapshot", "--pid=4711", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->err, "profctl: pid 4711: no such process: see \"profctl list\"\n");
	call(h, serve_nothing, "snapshot", NULL);
	assert_int_equal(h->code, 1);
	assert_one_line(h->err);
	call(h, serve_error, "list", NULL);
	assert_int_equal(h->code, 1);
	assert_one_line(h->err);
}

/* ---- connections that break */

static void serve_half(struct harness *h, int fd, const Profd__Request *request)
{
	fake_file(fd, "heap", 4711, "h.pb.gz", "/v/h.pb.gz", NULL);
}

static void serve_oversized(struct harness *h, int fd, const Profd__Request *request)
{
	static char bytes[PROFD_MAX_PACKET + 1];
	const int size = 4 * PROFD_MAX_PACKET;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	check(send(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
}

static void serve_garbage(struct harness *h, int fd, const Profd__Request *request)
{
	check(send(fd, "\xff\xff\xff", 3, 0) == 3);
}

static void test_broken_connections(void **state)
{
	static const char *const commands[] = {"snapshot", "list", "status"};
	struct harness *h = *state;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		call(h, serve_half, commands[i], NULL);
		assert_int_equal(h->code, 1);
		assert_non_null(strstr(h->err, "closed the connection"));
		assert_one_line(h->err);
		call(h, serve_oversized, commands[i], NULL);
		assert_int_equal(h->code, 1);
		assert_non_null(strstr(h->err, "cannot be read"));
		assert_one_line(h->err);
		call(h, serve_garbage, commands[i], NULL);
		assert_int_equal(h->code, 1);
		assert_non_null(strstr(h->err, "cannot be read"));
	}
}

/* ---- snapshot --output */

#define NAME_1 "heap_redis_1_20261121T031244.123Z.pb.gz"
#define NAME_2 "heap_redis_1_20261121T031244.124Z.pb.gz"

static void serve_files(struct harness *h, int fd, const Profd__Request *request)
{
	check(request->snapshot->send_files);
	fake_file(fd, "heap", 1, NAME_1, "", "first");
	fake_file(fd, "heap", 1, "../escape", "", "evil");
	fake_file(fd, "heap", 1, NAME_1, "", "second");
	fake_file(fd, "heap", 1, "none", "", NULL);
	fake_done(fd, 4, 0);
}

static void assert_file(const char *dir, const char *name, const char *content)
{
	char path[256], text[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	harness_read(fd, text, sizeof(text));
	close(fd);
	assert_string_equal(text, content);
	assert_int_equal(unlink(path), 0);
}

static void test_output_directory(void **state)
{
	struct harness *h = *state;
	char expected[512];

	call(h, serve_files, "snapshot", "--output", h->dir, NULL);
	assert_int_equal(h->code, 1); /* for the two bad ones */
	snprintf(expected, sizeof(expected), "%s/" NAME_1 "\n%s/" NAME_2 "\n", h->dir, h->dir);
	assert_string_equal(h->out, expected);
	snprintf(expected, sizeof(expected),
		 "profctl: %s/../escape: Bad message\nprofctl: %s/none: Bad message\n", h->dir,
		 h->dir);
	assert_string_equal(h->err, expected);
	assert_file(h->dir, NAME_1, "first");
	assert_file(h->dir, NAME_2, "second");
}

static void test_bad_output_directory(void **state)
{
	struct harness *h = *state;

	/* Before anything is asked: there is no daemon, and that is not the error. */
	call_alone(h, "snapshot", "--output", "/nonexistent/dir", NULL);
	assert_int_equal(h->code, 1);
	assert_non_null(strstr(h->err, "profctl: /nonexistent/dir: No such file or directory: "));
	assert_one_line(h->err);
	call_alone(h, "snapshot", "--output", "/dev/null", NULL);
	assert_int_equal(h->code, 1);
	assert_non_null(strstr(h->err, "Not a directory"));
}

/* Waits for the first file, so that profctl is in the middle of a series. */
static void serve_and_interrupt(struct harness *h, int fd, const Profd__Request *request)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	char path[256];

	check(request->snapshot->count == PROFD_MAX_COUNT);
	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
	fake_file(fd, "heap", 1, NAME_1, "", "first");
	snprintf(path, sizeof(path), "%s/" NAME_1, h->dir);
	while (access(path, F_OK) < 0)
		usleep(1000);
	check(kill(peer.pid, SIGINT) == 0);
	check(!fake_receive(fd)); /* hangs up */
}

static void test_interrupt(void **state)
{
	struct harness *h = *state;

	call(h, serve_and_interrupt, "snapshot", "--every=1h", "--output", h->dir, NULL);
	assert_int_equal(h->code, 130);
	assert_string_equal(h->err, "");
	assert_file(h->dir, NAME_1, "first");
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_set_up, harness_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_daemon),
		TEST(test_dead_socket),
		TEST(test_usage_errors),
		TEST(test_help_and_version),
		TEST(test_list),
		TEST(test_list_json),
		TEST(test_list_ended),
		TEST(test_empty_list),
		TEST(test_status),
		TEST(test_status_json),
		TEST(test_snapshot_prints_paths),
		TEST(test_snapshot_of_offcpu_measures),
		TEST(test_snapshot_defaults_and_verbose),
		TEST(test_snapshot_json),
		TEST(test_missing_is_said_and_others_follow),
		TEST(test_refusals),
		TEST(test_broken_connections),
		TEST(test_output_directory),
		TEST(test_bad_output_directory),
		TEST(test_interrupt),
		TEST(test_standard_output_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
