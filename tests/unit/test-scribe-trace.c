/* A trace's file: slices that follow from events and never overlap, names that are escaped,
 * stacks by their leaves, and events that make no sense are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/profile/freeze.h"
#include "daemon/profile/trace.h"
#include "daemon/scribe/json.h"
#include "daemon/scribe/trace.h"
#include "profd/base.h"
#include "profd/limits.h"
#include "proto/gzip.h"

#define START 1000000000ULL
#define END   (START + 1000000)
#define ODD   "\"\\\n\x01\xff\xed\xa0\x80\x7f\xc3\xa9"
#define CLEAN "\"\\\n\x01\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x7f\xc3\xa9"

enum { A, B, A_WAITS, A_SAMPLE, N_SAMPLES }; /* of the profile: two threads, and stacks */

static uint64_t add_location(struct pprof *p, uint64_t mapping, uint64_t address, const char *name)
{
	struct pprof_line line = {.name = name, .system_name = name, .file = ""};
	struct pprof_location l = {
		.mapping = mapping, .address = address, .lines = &line, .n_lines = 1};
	uint64_t id;

	assert_int_equal(pprof_add_location(p, &l, &id), 0);
	return id;
}

static void add_sample(struct pprof *p, int64_t tid, const char *name, const uint64_t *locations,
		       size_t n)
{
	const struct pprof_label labels[] = {
		{.key = "pid", .num = 7},
		{.key = "tid", .num = tid},
		{.key = "comm", .str = "program"},
		{.key = "thread", .str = name},
		{.key = "wchan", .str = "pipe_read"},
	};
	int64_t one = 1;
	struct pprof_sample s = {.locations = locations,
				 .n_locations = n,
				 .values = &one,
				 .labels = labels,
				 .n_labels = ARRAY_SIZE(labels)};

	assert_int_equal(pprof_add_sample(p, &s), 0);
}

static struct pprof *make_profile(void)
{
	struct pprof_mapping kernel = {
		.start = 0x1000, .limit = 0x2000, .path = "[kernel.kallsyms]"};
	struct pprof_mapping program = {.start = 0x4000, .limit = 0x5000, .path = "/bin/" ODD};
	struct pprof *p = pprof_new();
	uint64_t k, u, ids[5];

	assert_non_null(p);
	assert_int_equal(pprof_add_sample_type(p, "events", "count"), 0);
	assert_int_equal(pprof_add_comment(p, "said \"" ODD "\""), 0);
	assert_int_equal(pprof_add_mapping(p, &kernel, &k), 0);
	assert_int_equal(pprof_add_mapping(p, &program, &u), 0);
	ids[0] = add_location(p, k, 0x1010, "__schedule");
	ids[1] = add_location(p, k, 0x1020, "futex_wait_queue");
	ids[2] = add_location(p, k, 0x1030, "__x64_sys_futex");
	ids[3] = add_location(p, u, 0x4010, ODD);
	ids[4] = add_location(p, u, 0x4020, "main");
	add_sample(p, 7, "main", NULL, 0);
	add_sample(p, 8, ODD, NULL, 0);
	add_sample(p, 7, "main", ids, 5);
	add_sample(p, 7, "main", ids + 3, 2);
	return p;
}

static int put_events(const struct trace_event *events, size_t n, uint64_t said)
{
	struct trace_header h = {.magic = TRACE_MAGIC,
				 .start_ns = START,
				 .end_ns = END,
				 .start_unix_ns = 1,
				 .n_events = said,
				 .refused = 3};
	int fd = memfd_create("events", MFD_CLOEXEC);

	assert_int_equal(write(fd, &h, sizeof(h)), sizeof(h));
	assert_int_equal(write(fd, events, n * sizeof(*events)), n * sizeof(*events));
	return fd;
}

static int write_trace(const struct trace_event *events, size_t n, uint64_t said, json_t **ret)
{
	struct pprof *p = make_profile();
	int in = put_events(events, n, said), out = memfd_create("trace", MFD_CLOEXEC);
	int r = trace_write(p, in, out);
	uint8_t packed[65536], *text;
	json_error_t error;
	size_t n_text;
	ssize_t got;

	if (r == 0) {
		got = pread(out, packed, sizeof(packed), 0);
		assert_true(got > 0 && got < (ssize_t)sizeof(packed));
		assert_int_equal(gzip_inflate(packed, (size_t)got, 1 << 20, &text, &n_text), 0);
		for (size_t i = 0; i < n_text; i++)
			assert_true((text[i] >= 0x20 && text[i] != 0x7f) || text[i] == '\n');
		*ret = json_loadb((char *)text, n_text, JSON_REJECT_DUPLICATES, &error);
		if (!*ret)
			fail_msg("%s at %d: %.80s", error.text, error.position,
				 text + max(error.position - 40, 0));
		free(text);
	}
	close(in);
	close(out);
	pprof_free(p);
	return r;
}

#define EVENT(us, of, what)                                                                        \
	{                                                                                          \
		.time_ns = START + (us)*1000, .entry = (of), .kind = TRACE_##what,                 \
		.cpu = TRACE_NO_CPU                                                                \
	}

/* The slices of a thread as text: "running 0-10 waiting 10-20 ". */
static void slices_of(const json_t *trace, int tid, char *ret, size_t size)
{
	double since = -1, last = 0;
	const char *open = NULL;
	size_t i, at = 0;
	json_t *e;

	*ret = '\0';
	json_array_foreach(json_object_get(trace, "traceEvents"), i, e)
	{
		const char *ph = json_string_value(json_object_get(e, "ph"));
		double ts = json_number_value(json_object_get(e, "ts"));

		if (json_integer_value(json_object_get(e, "tid")) != tid || *ph == 'M')
			continue;
		assert_true(ts >= last);
		last = ts;
		if (*ph == 'B') {
			assert_null(open);
			open = json_string_value(json_object_get(e, "name"));
			since = ts;
		} else if (*ph == 'E') {
			assert_non_null(open);
			at += (size_t)snprintf(ret + at, size - at, "%s %g-%g ", open, since, ts);
			open = NULL;
		}
	}
	assert_null(open);
}

static void expect(const struct trace_event *events, size_t n, int tid, const char *slices)
{
	json_t *trace;
	char text[1024];

	assert_int_equal(write_trace(events, n, n, &trace), 0);
	slices_of(trace, tid, text, sizeof(text));
	assert_string_equal(text, slices);
	json_decref(trace);
}
#define EXPECT(tid, slices, ...)                                                                   \
	expect((struct trace_event[]){__VA_ARGS__},                                                \
	       sizeof((struct trace_event[]){__VA_ARGS__}) / sizeof(struct trace_event), tid,      \
	       slices)

static const json_t *find_event(const json_t *trace, const char *ph, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(trace, "traceEvents"), i, e)
	{
		const char *is = json_string_value(json_object_get(e, "name"));

		if (strcmp(json_string_value(json_object_get(e, "ph")), ph) == 0 && is &&
		    strcmp(is, name) == 0)
			return e;
	}
	fail_msg("no event %s %s", ph, name);
	return NULL;
}

static const char *arg(const json_t *event, const char *name)
{
	return json_string_value(json_object_get(json_object_get(event, "args"), name)) ?: "";
}

static void test_switches_become_slices(void **state)
{
	EXPECT(7, "running 0-10 waiting 10-30 running 30-40 ready 40-50 running 50-60 ",
	       EVENT(10, A, OUT), EVENT(30, A, IN), EVENT(40, A, PREEMPTED), EVENT(50, A, IN),
	       EVENT(60, A, EXIT));
	EXPECT(7, "ready 20-30 running 30-1000 ", EVENT(20, A, START), EVENT(30, A, IN));
	EXPECT(7, "waiting 0-30 running 30-1000 ", EVENT(30, A, IN));
}

static void test_events_may_come_in_any_order(void **state)
{
	EXPECT(7, "running 0-10 waiting 10-30 running 30-1000 ", EVENT(30, A, IN),
	       EVENT(10, A, OUT));
}

static void test_the_beginning_is_told_by_what_follows(void **state)
{
	EXPECT(7, "waiting 0-1000 ", EVENT(1, A, ASLEEP));
	EXPECT(7, "running 0-1000 ", EVENT(1, A, READY));
	EXPECT(7, "ready 0-20 running 20-1000 ", EVENT(1, A, READY), EVENT(20, A, IN));
	EXPECT(7, "running 0-1000 ", EVENT(400, A_SAMPLE, SAMPLE));
	EXPECT(7, "", EVENT(400, A, SNAPSHOT));
	/* the look came after the event, and is no more news */
	EXPECT(7, "running 0-10 waiting 10-1000 ", EVENT(10, A, OUT), EVENT(20, A, READY));
}

static void test_what_is_lost_is_not_made_up(void **state)
{
	EXPECT(7, "running 0-10 waiting 10-20 waiting 50-1000 ", EVENT(10, A, OUT),
	       {.time_ns = START + 20000, .entry = TRACE_NO_ENTRY, .kind = TRACE_LOST},
	       EVENT(50, A, OUT));
	EXPECT(8, "running 50-1000 ",
	       {.time_ns = START + 20000, .entry = TRACE_NO_ENTRY, .kind = TRACE_LOST},
	       EVENT(50, B, IN));
	/* two switches in a row without the one between them */
	EXPECT(7, "running 0-10 waiting 10-20 waiting 20-1000 ", EVENT(10, A, OUT),
	       EVENT(20, A, OUT));
}

static void test_the_dead_do_nothing(void **state)
{
	EXPECT(7, "running 0-10 ready 70-80 running 80-1000 ", EVENT(10, A, EXIT),
	       EVENT(11, A, OUT), EVENT(12, A, IN), EVENT(70, A, START), EVENT(80, A, IN));
}

static void test_waits_say_why(void **state)
{
	const struct trace_event events[] = {EVENT(9, A_WAITS, STACK), EVENT(10, A, OUT),
					     EVENT(20, A, IN), EVENT(21, A_SAMPLE, SAMPLE),
					     EVENT(30, B, ASLEEP)};
	const json_t *wait, *sample, *frame;
	json_t *trace;

	assert_int_equal(write_trace(events, ARRAY_SIZE(events), ARRAY_SIZE(events), &trace), 0);
	assert_string_equal(arg(find_event(trace, "B", "waiting"), "reason"),
			    "pipe_read"); /* B's */
	for (size_t i = 0;; i++) {
		wait = json_array_get(json_object_get(trace, "traceEvents"), i);
		assert_non_null(wait);
		if (json_object_get(wait, "sf"))
			break;
	}
	assert_string_equal(arg(wait, "reason"), "futex_wait_queue");
	assert_string_equal(arg(wait, "syscall"), "futex");
	assert_string_equal(arg(wait, "function"), CLEAN);
	sample = find_event(trace, "i", CLEAN);
	assert_string_equal(arg(sample, "function"), CLEAN);
	/* by its leaf, whose caller is main in both */
	frame = json_object_get(json_object_get(trace, "stackFrames"),
				json_string_value(json_object_get(sample, "sf")));
	assert_string_equal(json_string_value(json_object_get(frame, "name")), CLEAN);
	assert_string_equal(json_string_value(json_object_get(frame, "category")), "/bin/" CLEAN);
	frame = json_object_get(json_object_get(trace, "stackFrames"),
				json_string_value(json_object_get(frame, "parent")));
	assert_string_equal(json_string_value(json_object_get(frame, "name")), "main");
	assert_null(json_object_get(frame, "parent"));
	assert_int_equal(json_object_size(json_object_get(trace, "stackFrames")), 5);
	json_decref(trace);
}

static void test_names_and_notes_are_escaped(void **state)
{
	const struct trace_event events[] = {
		EVENT(10, B, OUT),
		{.time_ns = START + 20000, .entry = TRACE_NO_ENTRY, .kind = TRACE_SNAPSHOT}};
	const json_t *other;
	json_t *trace;

	assert_int_equal(write_trace(events, 2, 2, &trace), 0);
	assert_string_equal(arg(find_event(trace, "M", "thread_name"), "name"), CLEAN);
	assert_string_equal(arg(find_event(trace, "M", "process_name"), "name"), "program");
	assert_string_equal(json_string_value(json_object_get(find_event(trace, "i", "cpu"), "s")),
			    "g");
	other = json_object_get(trace, "otherData");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(other, "comments"), 0)),
		"said \"" CLEAN "\"");
	assert_int_equal(json_integer_value(json_object_get(other, "events_lost")), 3);
	json_decref(trace);
}

/* By itself: profiles have only valid strings. */
static void test_bytes_that_are_no_text(void **state)
{
	static const char clean[] =
		"\"\\\"\\\\\\u000a\\u0001\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
		"\xbd\\u007f\xc3\xa9\"";
	int fd = memfd_create("text", MFD_CLOEXEC);
	uint8_t packed[256], *text;
	struct gzip_writer *w;
	size_t n;
	ssize_t got;

	assert_int_equal(gzip_writer_new(fd, &w), 0);
	json_put_string(w, ODD);
	assert_int_equal(gzip_writer_finish(w), 0);
	gzip_writer_free(w);
	got = pread(fd, packed, sizeof(packed), 0);
	assert_true(got > 0);
	assert_int_equal(gzip_inflate(packed, (size_t)got, 1024, &text, &n), 0);
	assert_int_equal(n, sizeof(clean) - 1);
	assert_memory_equal(text, clean, n);
	free(text);
	close(fd);
}

static void test_refuses_what_makes_no_sense(void **state)
{
	static const struct trace_event bad[] = {
		EVENT(10, N_SAMPLES, OUT),
		EVENT(10, TRACE_NO_ENTRY, OUT),
		{.time_ns = START, .entry = A, .kind = TRACE_KIND_N},
		{.time_ns = START, .entry = A, .kind = TRACE_SNAPSHOT, .detail = PROFILE_TRACE + 1},
	};
	const struct trace_event good = EVENT(10, A, OUT);
	json_t *trace;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(write_trace(&bad[i], 1, 1, &trace), -EBADMSG);
	assert_int_equal(write_trace(&good, 1, 0, &trace), -EBADMSG);
	assert_int_equal(write_trace(&good, 1, 2, &trace), -EBADMSG);
	assert_int_equal(write_trace(&good, 1, UINT64_MAX, &trace), -EBADMSG);
	assert_int_equal(write_trace(&good, 1, (1ULL << 60) + 1, &trace), -EBADMSG);
	assert_int_equal(write_trace(&good, 0, 0, &trace), 0);
	json_decref(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switches_become_slices),
		cmocka_unit_test(test_events_may_come_in_any_order),
		cmocka_unit_test(test_the_beginning_is_told_by_what_follows),
		cmocka_unit_test(test_what_is_lost_is_not_made_up),
		cmocka_unit_test(test_the_dead_do_nothing),
		cmocka_unit_test(test_waits_say_why),
		cmocka_unit_test(test_names_and_notes_are_escaped),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_refuses_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
