/*
 * CPU sampling: one perf event and one ring per CPU, for the whole machine or
 * for one command's tree. The caller drains; records of all rings come out
 * merged in time order. Loss is counted, never silent.
 *
 * The sampler decodes records and hands them over as they are: it knows neither
 * processes nor stacks. (The engine joins it with those rooms.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

struct sampler;

struct sampler_config {
	const char *event;     /* libpfm4's language; NULL: cycles, else cpu-clock */
	unsigned frequency_hz; /* samples a second and CPU */
	pid_t pid; /* 0: whole machine; else this one and, from its next exec on, its tree */
	size_t ring_bytes; /* 0: the default; a power of two of pages. Halved until it is granted */
	uint32_t stack_bytes; /* of user stack copied; 0: the default. Less in a small ring */
};

struct sampler_sample {
	uint64_t time_ns;
	pid_t pid, tid;
	uint32_t cpu;
	uint64_t period;
	const uint64_t *kernel_frames; /* innermost first; addresses as perf gives them */
	size_t n_kernel_frames;
	bool has_user; /* false: a kernel thread */
	const uint64_t *regs; /* UNWIND_REG_N values in enum unwind_reg's order, which is perf's */
	const uint8_t *stack;
	size_t stack_bytes; /* 0 also for a 32-bit process */
};

struct sampler_mmap {
	pid_t pid, tid;
	uint64_t time_ns;
	uint64_t start, bytes, file_offset;
	uint32_t major, minor;
	uint64_t inode, inode_generation;
	const uint8_t *build_id; /* NULL: the kernel gave device and inode instead */
	size_t build_id_bytes;
	bool executable;
	const char *path;
};

/* Any may be NULL. */
struct sampler_handlers {
	void (*on_sample)(const struct sampler_sample *s, void *userdata);
	void (*on_comm)(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
			void *userdata);
	void (*on_fork)(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_exit)(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_mmap)(const struct sampler_mmap *m, void *userdata);
};

struct sampler_stats {
	uint64_t samples;   /* handed over */
	uint64_t lost;	    /* records the kernel says were lost (LOST, LOST_SAMPLES) */
	uint64_t throttled; /* THROTTLE records */
	uint64_t malformed; /* records that did not parse */
	uint64_t orphans;   /* samples of a task that had ended already: nobody's */
	uint64_t records;
};

/* Returns 0, or -errno with one line in @why: what was tried, what to do. */
int sampler_new(struct keeper *keeper, const struct sampler_config *config, struct sampler **ret_s,
		char *why, size_t why_size);
void sampler_free(struct sampler *s);

const char *sampler_event(const struct sampler *s);	 /* the event in use */
const char *sampler_event_note(const struct sampler *s); /* why not the one asked for; "" */
unsigned sampler_frequency(const struct sampler *s);
int64_t sampler_period_ns(const struct sampler *s); /* time a sample stands for */

size_t sampler_ring_bytes(const struct sampler *s); /* of each ring, as granted */

/* The rings' descriptors, for the event loop: readable at half full. When the
 * tree of sampler_config.pid has ended they hang up (EPOLLHUP), for good: take
 * them out of the loop then, and drain once more. */
size_t sampler_n_fds(const struct sampler *s);
int sampler_fd(const struct sampler *s, size_t i);

/* Handles all records older than @horizon_ns (perf's clock: CLOCK_MONOTONIC),
 * in order; UINT64_MAX: all there are. What a handler is given holds until it
 * returns. The kernel may still be writing a record of this very moment on
 * another CPU, so a horizon some milliseconds back keeps the order across CPUs. */
void sampler_drain(struct sampler *s, uint64_t horizon_ns, const struct sampler_handlers *handlers,
		   void *userdata);

void sampler_stats(const struct sampler *s, struct sampler_stats *ret_stats);
