#include "daemon/heap/trim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/heap_table.h"

int trim_start(struct trim *trim, struct keeper *keeper, struct heap_client *client,
	       uint64_t now_mono_ns)
{
	struct heap_header header;
	int r;

	*trim = (struct trim){
		.client = client,
		.deadline_mono_ns = now_mono_ns + PROFD_TRIM_DEADLINE_MS * NSEC_PER_MSEC,
		.result = -EAGAIN,
	};
	r = heap_table_header(client->table_fd, &header);
	if (r >= 0 && header.notes & HEAP_NOTE_NO_SERVICE)
		r = -ENOTSUP;
	if (r >= 0)
		r = process_read_rss(keeper, client->pid, &trim->rss_before);
	if (r >= 0)
		r = heap_table_request(client->table_fd, &header, HEAP_VERB_TRIM,
				       PROFD_TRIM_BUDGET_BYTES, &trim->seq);
	if (r < 0)
		trim->result = r;
	return r;
}

int trim_poll(struct trim *trim, struct keeper *keeper, uint64_t now_mono_ns)
{
	struct heap_header header;
	int r;

	if (trim->result != -EAGAIN)
		return trim->result;
	r = heap_table_header(trim->client->table_fd, &header);
	if (r < 0)
		return trim->result = r;
	if (header.reply.seq == trim->seq) {
		trim->reply = header.reply;
		trim->client->trims++;
		r = process_read_memory(keeper, trim->client->pid, &trim->memory);
		return trim->result = r < 0 ? -ESRCH : 0;
	}
	if (trim->client->dead)
		return trim->result = -ESRCH;
	if (header.notes & HEAP_NOTE_NO_SERVICE)
		return trim->result = -ENOTSUP;
	if (now_mono_ns >= trim->deadline_mono_ns)
		return trim->result = -ETIMEDOUT;
	return -EAGAIN;
}

static double mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

void trim_describe(const struct trim *trim, char *ret, size_t size)
{
	const struct heap_reply *a = &trim->reply;
	double at = (double)(clock_unix_ns() - (int64_t)trim->client->start_unix_ns) / 1e9;
	if (trim->result == -ETIMEDOUT)
		snprintf(ret, size, "trim skipped @%.3fs: no answer within %d ms", at,
			 PROFD_TRIM_DEADLINE_MS);
	else if (trim->result == -ENOTSUP)
		snprintf(ret, size,
			 "trim skipped @%.3fs: no thread does it: PROFD_TRIM=0, or given up for "
			 "privileges, a sandbox, a fork among threads",
			 at);
	else if (trim->result < 0)
		snprintf(ret, size, "trim skipped @%.3fs: %s", at, strerror(-trim->result));
	else if (a->result == HEAP_TRIM_OVER_BUDGET)
		snprintf(ret, size,
			 "trim skipped @%.3fs: %.1f MB are free, more than the budget of %.1f MB",
			 at, mb(a->before.free), mb(PROFD_TRIM_BUDGET_BYTES));
	else if (a->result != HEAP_TRIM_DONE)
		snprintf(ret, size,
			 "trim skipped @%.3fs: how allocator %s gives memory back is not known", at,
			 a->allocator);
	else
		snprintf(ret, size,
			 "trim %u @%.3fs: rss %.1f->%.1f MB, in use %.1f MB, free %.1f->%.1f MB, "
			 "%.1f ms",
			 trim->client->trims, at, mb(trim->rss_before), mb(trim->memory.rss),
			 mb(a->after.in_use), mb(a->before.free), mb(a->after.free),
			 (double)a->duration_ns / 1e6);
}
