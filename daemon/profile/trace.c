/*
 * The events are in one array that grows to its limit; threads are found by their ids,
 * which is done with every switch of the machine.
 */
#include "daemon/profile/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/array.h"

struct trace_thread {
	UT_hash_handle hh;
	pid_t tid, pid;
	uint32_t entry;
};

struct trace {
	uint64_t start_ns;
	int64_t start_unix_ns;
	struct aggregate *entries;
	struct trace_thread *threads;
	ARRAY_TABLE(struct trace_event) events;
	uint64_t full_ns; /* the first that was refused; 0: none */
	uint64_t refused, stacks_refused;
};

int trace_new(uint64_t start_ns, int64_t start_unix_ns, struct trace **ret_trace)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t || aggregate_new(1, PROFD_MAX_TRACE_STACKS, &t->entries) < 0) {
		free(t);
		return -ENOMEM;
	}
	aggregate_limit_bytes(t->entries, PROFD_MAX_TRACE_STACK_BYTES);
	t->start_ns = start_ns;
	t->start_unix_ns = start_unix_ns;
	*ret_trace = t;
	return 0;
}

static void free_thread(struct trace *t, struct trace_thread *thread)
{
	HASH_DEL(t->threads, thread);
	free(thread);
}

void trace_free(struct trace *t)
{
	struct trace_thread *thread, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->threads, thread, next)
		free_thread(t, thread);
	aggregate_free(t->entries);
	free(t->events.items);
	free(t);
}

static struct trace_thread *find(const struct trace *t, pid_t tid)
{
	struct trace_thread *thread;

	HASH_FIND (hh, t->threads, &tid, sizeof(tid), thread)
		;
	return thread;
}

bool trace_find_thread(const struct trace *t, pid_t tid, uint32_t *ret_entry)
{
	const struct trace_thread *thread = find(t, tid);

	if (!thread)
		return false;
	*ret_entry = thread->entry;
	return true;
}

void trace_set_thread(struct trace *t, pid_t pid, pid_t tid, uint32_t entry)
{
	struct trace_thread *thread = find(t, tid);

	if (!thread) {
		/* What does not fit is looked up each time. */
		if (HASH_COUNT(t->threads) >= PROFD_MAX_WAITING)
			return;
		thread = calloc(1, sizeof(*thread));
		if (!thread)
			return;
		thread->tid = tid;
		HASH_ADD(hh, t->threads, tid, sizeof(thread->tid), thread);
	}
	thread->pid = pid;
	thread->entry = entry;
}

void trace_forget(struct trace *t, pid_t pid)
{
	struct trace_thread *thread, *next;

	HASH_ITER (hh, t->threads, thread, next)
		if (thread->pid == pid)
			free_thread(t, thread);
}

void trace_forget_thread(struct trace *t, pid_t tid)
{
	struct trace_thread *thread = find(t, tid);

	if (thread)
		free_thread(t, thread);
}

uint32_t trace_entry(struct trace *t, const struct sample *s)
{
	struct sample one = *s;
	uint32_t entry;

	one.values[0] = 1;
	if (aggregate_intern(t->entries, &one, &entry) == 0)
		return entry;
	t->stacks_refused++;
	return TRACE_NO_ENTRY;
}

void trace_add(struct trace *t, const struct trace_event *event)
{
	if (event->time_ns < t->start_ns && event->kind != TRACE_LOST)
		return;
	if (t->events.n == PROFD_MAX_TRACE_EVENTS || array_grow(&t->events, 1) < 0) {
		if (t->full_ns == 0 || event->time_ns < t->full_ns)
			t->full_ns = event->time_ns;
		t->refused++;
		return;
	}
	t->events.items[t->events.n++] = *event;
}

const struct aggregate *trace_aggregate(const struct trace *t)
{
	return t->entries;
}

uint64_t trace_refused(const struct trace *t)
{
	return t->refused + t->stacks_refused;
}

int trace_pack(const struct trace *t, uint64_t end_ns, const uint32_t *samples, void **ret_bytes,
	       size_t *ret_n)
{
	size_t room = sizeof(struct trace_header) + t->events.n * sizeof(struct trace_event);
	struct trace_header header = {
		.magic = TRACE_MAGIC,
		.start_ns = t->start_ns,
		.end_ns = t->full_ns ? min(t->full_ns, end_ns) : end_ns,
		.start_unix_ns = t->start_unix_ns,
		.refused = t->refused,
		.stacks_refused = t->stacks_refused,
	};
	uint8_t *bytes = malloc(room);

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < t->events.n; i++) {
		struct trace_event e = t->events.items[i];

		if (e.time_ns >= header.end_ns)
			continue;
		if (e.entry != TRACE_NO_ENTRY) {
			e.entry = samples[e.entry];
			if (e.entry == TRACE_NO_ENTRY)
				continue;
		}
		memcpy(bytes + sizeof(header) + header.n_events++ * sizeof(e), &e, sizeof(e));
	}
	memcpy(bytes, &header, sizeof(header));
	*ret_bytes = bytes;
	*ret_n = sizeof(header) + header.n_events * sizeof(struct trace_event);
	return 0;
}
