/*
 * The forced trim before a heap dump: RSS before, request, wait, RSS after.
 * The client answers with the allocator's numbers; the daemon measures RSS, so
 * that the client needs no system call for it.
 *
 * trim_start() raises the request, trim_poll() looks for the answer: 0 when
 * there is one, -EAGAIN before that, -ETIMEDOUT past the deadline, -ESRCH when
 * the process is gone; either of them -ENOTSUP when nobody is there to answer.
 * The caller decides when to poll, and keeps the client alive in the meantime.
 */
#pragma once

#include "daemon/heap/client.h"
#include "daemon/proc/memory.h"
#include "profd/heap_table.h"

struct trim {
	struct heap_client *client;
	uint32_t seq;
	uint64_t deadline_mono_ns;
	uint64_t rss_before;	      /* bytes */
	struct process_memory memory; /* after */
	struct heap_reply reply;
	int result; /* 0, or -errno as above */
};

int trim_start(struct trim *trim, struct keeper *keeper, struct heap_client *client,
	       uint64_t now_mono_ns);
int trim_poll(struct trim *trim, struct keeper *keeper, uint64_t now_mono_ns);

/* "trim 32 @1.158s: rss 45.1->38.2 MB, in use 37.5 MB, free 9.0->0.2 MB, 3.1 ms"
 * (time since the client started), or why there was none. */
void trim_describe(const struct trim *trim, char *ret, size_t size);
