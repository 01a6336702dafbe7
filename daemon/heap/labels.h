/*
 * The labels that a client's threads had when the kernel sampled them
 * (profd/heap_table.h).
 */
#pragma once

#include "daemon/heap/client.h"

/* Those of @tid at @mono_ns, as struct sample_labels has them; NULL: none. They hold
 * until the next drain. @drain: a number that is another for each one, and not 0.
 * Returns 0; -ENODATA: not known any more; or -errno. */
int heap_client_labels_at(struct heap_client *client, pid_t tid, uint64_t mono_ns, uint64_t drain,
			  const char **ret_labels);
