/* snapshot: what it asks for, what it prints, and connections that break. */
#include "tests/unit/profctl-canned.h"

#include <jansson.h>

#include "profd/limits.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
