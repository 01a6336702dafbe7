/*
 * The clients that measure their threads' waits for one request, and what each had
 * counted when it began.
 */
#pragma once

#include "daemon/heap/waits.h"

struct measure;

/* Adds @client, which measures from now on, until @until_mono_ns at most. Returns 0 or
 * -errno. The client is referenced. */
int measure_add(struct measure **measures, struct heap_client *client, uint64_t until_mono_ns);

/* What the client had counted; NULL: it is not one of them. */
const struct heap_waits_mark *measure_find(const struct measure *measures,
					   const struct heap_client *client);

/* Ends it all. *measures is NULL then. */
void measure_end(struct measure **measures);
