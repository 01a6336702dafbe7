/*
 * CPU time that a client samples by the program's own timers: its table counts
 * from the program's start; a reader wants what has come since it last looked.
 */
#pragma once

#include "daemon/heap/client.h"
#include "daemon/heap/read.h"

struct heap_cpu_span {
	struct heap_profile profile; /* samples: HEAP_CPU_SAMPLES and HEAP_CPU_NS, one at least */
	uint64_t lost;		     /* samples that the table had no room for */
	uint64_t missed;	     /* due, but the thread ended before */
	uint64_t refused;	     /* threads that got no timer */
	enum heap_cpu_end end;
};

/* What has come since the last call for this client; the first time, all there is.
 * Returns 0; -ENODATA: its timers are not on; or -errno as heap_table_copy(). A
 * span that is not taken is part of the next one. */
int heap_client_take_cpu(struct keeper *keeper, struct heap_client *client,
			 struct module_table *modules, struct heap_cpu_span *ret_span);
void heap_cpu_span_done(struct heap_cpu_span *span);

void heap_cpu_seen_free(struct heap_cpu_seen *seen); /* NULL is fine */
