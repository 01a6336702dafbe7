/*
 * Off-CPU time from any bytes: the scheduler's short records, and what /proc says
 * of a thread; nothing may be read outside of them. The records also drive the
 * pairing, in whatever order they come.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/cpu/switch-record.h"
#include "daemon/cpu/wait.h"
#include "daemon/proc/waiting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_wait(const struct wait *w, void *userdata)
{
	if (w->class >= WAIT_CLASSES || w->count > UINT32_MAX)
		abort();
}

static void drive(struct wait_table *t, const struct switch_record *r)
{
	struct frame frame = {0};
	struct wait_origin origin = {.pid = r->pid,
				     .tid = r->other_tid,
				     .time_ns = r->time_ns,
				     .weight = r->lost,
				     .frames = &frame,
				     .n_frames = r->in};

	if (r->type == PERF_RECORD_FORK) {
		wait_on_start(t, r->tid);
	} else if (r->type == PERF_RECORD_EXIT) {
		wait_on_exit(t, r->tid, r->time_ns);
	} else if (r->type == PERF_RECORD_LOST) {
		wait_on_lost(t, r->time_ns);
		wait_flush(t, r->time_ns);
	} else {
		wait_on_stack(t, &origin);
		wait_on_out(t, r->pid, r->tid, r->preempted, r->time_ns);
		wait_on_in(t, r->other_tid, r->time_ns);
	}
}

/* A record has 16 to 72 bytes here, or what its header says in between. */
static void parse_records(const uint8_t *data, size_t size)
{
	struct wait_table *t;

	if (wait_table_new(on_wait, NULL, &t) < 0)
		return;
	while (size >= 16) {
		size_t n = data[offsetof(struct perf_event_header, size)] & 0x78;
		struct perf_event_header header;
		struct switch_record r;
		uint8_t *bytes;

		n = n < 16 ? 16 : n > 72 ? 72 : n;
		if (n > size)
			break;
		bytes = malloc(n); /* its end is guarded */
		if (!bytes)
			break;
		memcpy(bytes, data, n);
		memcpy(&header, bytes, sizeof(header));
		header.size = (uint16_t)n;
		header.type &= 31;
		memcpy(bytes, &header, sizeof(header));
		if (switch_record_time_offset(&header) + sizeof(uint64_t) > n)
			abort();
		if (switch_record_parse(bytes, n, &r) == 0)
			drive(t, &r);
		free(bytes);
		data += n;
		size -= n;
	}
	wait_flush(t, UINT64_MAX);
	wait_table_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct waiting w = {0};
	char c, *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	(void)waiting_parse_stat(text, &c);
	(void)waiting_parse_stack(text, &w);
	(void)waiting_parse_syscall(text, &w);
	free(text);
	parse_records(data, size);
	return 0;
}
