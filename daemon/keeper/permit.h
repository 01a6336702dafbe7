/*
 * What an engine may have: the rules that are not the kernel's. Asked by the keeper's
 * end of the socket (serve.h) before a verb is carried out, and by nobody else: a
 * process that is its own keeper may do whatever the kernel lets it. All return 0,
 * or -EPERM: it may not.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

#define PERMIT_RING_BYTES (64u << 20)

/* Sampling and counting the machine, in the kinds that profd uses: no breakpoints or
 * probes, no raw data, no signals, nothing of one process but of @engine's own. */
int permit_event(const struct perf_event_attr *attr, pid_t pid, int cpu, pid_t engine);

/* @fd is a perf event, and @bytes a ring's size. */
int permit_ring(int fd, uint64_t bytes);

/* Which files may be opened, and which are read. */
int permit_open(enum keeper_file file);
int permit_read(enum keeper_file file);

/* The perf-map is that of @pid, which knows itself as @inner_pid, and it belongs to
 * whom that process belongs to. */
int permit_perf_map(struct keeper *keeper, pid_t pid, pid_t inner_pid, uid_t uid,
		    uint64_t max_bytes);

/* The thread waits, and this is its stack pointer. -EAGAIN: not now. */
int permit_stack(struct keeper *keeper, pid_t pid, pid_t tid, uint64_t sp);
