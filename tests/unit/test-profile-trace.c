/* A trace is bounded and says what it had no room for; threads are looked up once, until they
 * change; and what it hands over refers to what was frozen, and to nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/profile/freeze.h"
#include "daemon/profile/trace.h"
#include "profd/base.h"
#include "profd/limits.h"

static uint32_t entry_of(struct trace *t, pid_t tid)
{
	struct sample s = {.labels = {.pid = 7, .tid = tid}};

	return trace_entry(t, &s);
}

static struct trace_header pack(const struct trace *t, uint64_t end_ns, const uint32_t *samples,
				struct trace_event **ret_events)
{
	struct trace_header h;
	void *bytes;
	size_t n;

	assert_int_equal(trace_pack(t, end_ns, samples, &bytes, &n), 0);
	memcpy(&h, bytes, sizeof(h));
	assert_int_equal(n, sizeof(h) + h.n_events * sizeof(struct trace_event));
	memmove(bytes, (uint8_t *)bytes + sizeof(h), n - sizeof(h));
	*ret_events = bytes;
	return h;
}

static void test_threads_are_known_until_they_change(void **state)
{
	struct trace *t;
	uint32_t entry;

	assert_int_equal(trace_new(100, 0, &t), 0);
	assert_false(trace_find_thread(t, 8, &entry));
	trace_set_thread(t, 7, 8, entry_of(t, 8));
	trace_set_thread(t, 7, 9, TRACE_NO_ENTRY);
	trace_set_thread(t, 1, 2, TRACE_NO_ENTRY);
	assert_true(trace_find_thread(t, 8, &entry));
	assert_int_equal(entry, entry_of(t, 8));
	trace_forget_thread(t, 8);
	assert_false(trace_find_thread(t, 8, &entry));
	trace_forget(t, 7);
	assert_false(trace_find_thread(t, 9, &entry));
	assert_true(trace_find_thread(t, 2, &entry));
	trace_free(t);
}

static void test_hands_over_what_was_frozen(void **state)
{
	static const uint32_t samples[] = {FROZEN_NONE, 0};
	struct trace_event *events;
	struct trace_header h;
	struct trace *t;

	assert_int_equal(trace_new(100, 5, &t), 0);
	assert_int_equal(entry_of(t, 8), 0);
	assert_int_equal(entry_of(t, 9), 1);
	trace_add(t, &(struct trace_event){.time_ns = 99, .entry = 1}); /* before it began */
	trace_add(t, &(struct trace_event){.time_ns = 100, .entry = 0, .kind = TRACE_IN});
	trace_add(t, &(struct trace_event){.time_ns = 101, .entry = 1, .kind = TRACE_IN});
	trace_add(t, &(struct trace_event){
			     .time_ns = 102, .entry = TRACE_NO_ENTRY, .kind = TRACE_LOST});
	trace_add(t, &(struct trace_event){.time_ns = 200, .entry = 1, .kind = TRACE_OUT});
	h = pack(t, 200, samples, &events);
	assert_int_equal(h.n_events, 2);
	assert_int_equal(h.start_unix_ns, 5);
	assert_int_equal(events[0].time_ns, 101);
	assert_int_equal(events[0].entry, 0);
	assert_int_equal(events[1].kind, TRACE_LOST);
	free(events);
	trace_free(t);
}

static void test_ends_where_there_is_no_room(void **state)
{
	static const uint32_t samples[] = {0};
	struct trace_event *events;
	struct trace_header h;
	struct trace *t;

	assert_int_equal(trace_new(0, 0, &t), 0);
	assert_int_equal(entry_of(t, 8), 0);
	for (uint64_t i = 0; i < PROFD_MAX_TRACE_EVENTS + 5; i++)
		trace_add(t, &(struct trace_event){.time_ns = i, .kind = TRACE_IN});
	assert_int_equal(trace_refused(t), 5);
	h = pack(t, UINT64_MAX, samples, &events);
	assert_int_equal(h.n_events, PROFD_MAX_TRACE_EVENTS);
	assert_int_equal(h.refused, 5);
	assert_int_equal(h.end_ns, PROFD_MAX_TRACE_EVENTS);
	free(events);
	trace_free(t);
}

static void test_stacks_are_bounded(void **state)
{
	struct trace *t;
	pid_t tid = 1;

	assert_int_equal(trace_new(0, 0, &t), 0);
	while (tid < 1000000 && entry_of(t, tid) != TRACE_NO_ENTRY)
		tid++;
	assert_true(tid < (pid_t)PROFD_MAX_TRACE_STACKS + 2);
	assert_true(aggregate_bytes(trace_aggregate(t)) <= PROFD_MAX_TRACE_STACK_BYTES + 4096);
	assert_int_equal(trace_refused(t), 1);
	assert_int_equal(entry_of(t, 1), 0); /* what is known has room */
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_are_known_until_they_change),
		cmocka_unit_test(test_hands_over_what_was_frozen),
		cmocka_unit_test(test_ends_where_there_is_no_room),
		cmocka_unit_test(test_stacks_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
