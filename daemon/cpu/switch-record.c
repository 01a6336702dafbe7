#include "daemon/cpu/switch-record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "profd/base.h"

struct trailer { /* sample_id */
	uint32_t pid, tid;
	uint64_t time_ns;
};

struct other {
	uint32_t pid, tid;
};

struct task {
	uint32_t pid, parent, tid, parent_tid;
	uint64_t time_ns;
};

static_assert(sizeof(struct trailer) == 16, "kernel's format");
static_assert(sizeof(struct other) == 8, "kernel's format");
static_assert(sizeof(struct task) == 24, "kernel's format");

#define HEADER sizeof(struct perf_event_header)

size_t switch_record_time_offset(const struct perf_event_header *header)
{
	if (header->size < HEADER + sizeof(struct trailer))
		return 0;
	return header->size - sizeof(struct trailer) + offsetof(struct trailer, time_ns);
}

static int parse_switch(const uint8_t *body, size_t n, uint16_t misc, struct switch_record *r)
{
	struct other other;

	if (n != sizeof(other))
		return -EBADMSG;
	memcpy(&other, body, sizeof(other));
	r->other_pid = (pid_t)other.pid;
	r->other_tid = (pid_t)other.tid;
	r->in = !(misc & PERF_RECORD_MISC_SWITCH_OUT);
	r->preempted = misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
	return 0;
}

static int parse_task(const uint8_t *body, size_t n, struct switch_record *r)
{
	struct task task;

	if (n != sizeof(task))
		return -EBADMSG;
	memcpy(&task, body, sizeof(task));
	r->pid = (pid_t)task.pid;
	r->tid = (pid_t)task.tid;
	return 0;
}

/* LOST has an id before the number, LOST_SAMPLES has not. */
static int parse_lost(const uint8_t *body, size_t n, struct switch_record *r)
{
	size_t before = r->type == PERF_RECORD_LOST ? sizeof(uint64_t) : 0;

	if (n != before + sizeof(r->lost))
		return -EBADMSG;
	memcpy(&r->lost, body + before, sizeof(r->lost));
	return 0;
}

static int parse_body(const uint8_t *body, size_t n, uint16_t misc, struct switch_record *r)
{
	switch (r->type) {
	case PERF_RECORD_SWITCH_CPU_WIDE:
		return parse_switch(body, n, misc, r);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return parse_task(body, n, r);
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		return parse_lost(body, n, r);
	default:
		return -ENOTSUP;
	}
}

int switch_record_parse(const uint8_t *bytes, size_t n, struct switch_record *ret_record)
{
	struct perf_event_header header;
	struct switch_record record = {0};
	struct trailer trailer;
	int r;

	if (n < HEADER + sizeof(trailer) || n % 8 != 0)
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (header.size != n)
		return -EBADMSG;
	memcpy(&trailer, bytes + n - sizeof(trailer), sizeof(trailer));
	record.type = header.type;
	record.pid = (pid_t)trailer.pid;
	record.tid = (pid_t)trailer.tid;
	record.time_ns = trailer.time_ns;
	r = parse_body(bytes + HEADER, n - HEADER - sizeof(trailer), header.misc, &record);
	if (r == 0)
		*ret_record = record;
	return r;
}
