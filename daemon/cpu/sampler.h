/*
 * CPU sampling: one perf event and one ring per CPU, for the whole machine or
 * for one command's tree. The caller drains; records of all rings come out
 * merged in time order. Loss is counted, never silent.
 *
 * The sampler decodes records and hands them over, a mapping in the shape that the
 * process table takes: it keeps neither processes nor stacks. (The engine joins it with
 * those rooms.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/process.h"

struct sampler;

/* What a sample stands for; the sample types that a profile of it has. */
enum sampler_measure {
	SAMPLER_TIME,	/* a clock: samples, cpu nanoseconds */
	SAMPLER_CYCLES, /* at a frequency: samples, cycles, cpu nanoseconds */
	SAMPLER_EVENTS, /* any other: samples, the event's own count */
};

#define SAMPLER_VALUES_MAX 3

struct sampler_config {
	const char *event;     /* libpfm4's language; NULL: cycles, else cpu-clock */
	unsigned frequency_hz; /* samples a second and CPU */
	pid_t pid; /* 0: whole machine; else this one and, from its next exec on, its tree */
	size_t ring_bytes; /* 0: the default; a power of two of pages. Halved until it is granted */
	uint32_t stack_bytes; /* of user stack copied; 0: the default. Less in a small ring */
	const char *online;   /* the list of CPUs to follow, a file; NULL: the kernel's own */
};

struct sampler_sample {
	uint64_t time_ns;
	pid_t pid, tid;
	uint32_t cpu;
	uint64_t period;	       /* events that it stands for */
	const uint64_t *kernel_frames; /* innermost first; addresses as perf gives them */
	size_t n_kernel_frames;
	bool has_user;	      /* false: a kernel thread */
	const uint64_t *regs; /* UNWIND_REG_N values in enum unwind_reg's order, which is perf's */
	const uint8_t *stack;
	size_t stack_bytes; /* 0 also for a 32-bit process */
};

/* Any may be NULL. */
struct sampler_handlers {
	void (*on_sample)(const struct sampler_sample *s, void *userdata);
	void (*on_comm)(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
			void *userdata);
	void (*on_fork)(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_exit)(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_mmap)(const struct process_mmap *m, uint64_t time_ns, void *userdata);
	/* @n samples that were taken and did not arrive, each of @period events or
	 * about so. Whose they were is not known. */
	void (*on_lost)(uint64_t n, uint64_t period, void *userdata);
};

struct sampler_stats {
	uint64_t samples;      /* handed over */
	uint64_t lost;	       /* samples that the kernel had no room for */
	uint64_t lost_records; /* records about tasks and mappings that it had no room for */
	bool exact;	       /* the two are told apart (Linux 6.0); else both are in `lost` */
	uint64_t throttled;    /* THROTTLE records */
	uint64_t malformed;    /* records that did not parse */
	uint64_t orphans;      /* samples of a task that had ended already: nobody's */
	uint64_t taken_up;     /* CPUs that came, or came back, after the start */
	uint64_t records;
};

/* Whether samples of @event (NULL: the default) stand for time: a clock, or cycles
 * at a frequency. True also of what is no event. */
bool sampler_measures_time(struct keeper *keeper, const char *event);

/* Returns 0, or -errno with one line in @why: what was tried, what to do. */
int sampler_new(struct keeper *keeper, const struct sampler_config *config, struct sampler **ret_s,
		char *why, size_t why_size);
void sampler_free(struct sampler *s);

/* @s takes the place of @before: what has been counted goes on. */
void sampler_inherit(struct sampler *s, const struct sampler *before);

const char *sampler_event(const struct sampler *s);	 /* the event in use */
const char *sampler_event_note(const struct sampler *s); /* why not the one asked for; "" */
unsigned sampler_frequency(const struct sampler *s);	 /* 0: a fixed period instead */

enum sampler_measure sampler_measure(const struct sampler *s);
/* What its count is called: "page-faults", however it was spelt. */
const char *sampler_event_type(const struct sampler *s);
/* What a sample stands for: nanoseconds if it measures time, else events; 0: it
 * changes, to meet the frequency. */
int64_t sampler_period(const struct sampler *s);
/* The values of @n samples of @period each, and how many values that are. */
size_t sampler_values(const struct sampler *s, uint64_t n, uint64_t period,
		      int64_t ret[SAMPLER_VALUES_MAX]);

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

/* CPUs go and come, by hand, or all but one of them when a machine sleeps; an
 * event whose CPU has gone is off for good. Looks, at most twice a second, and
 * says whether sampler_update_cpus() has something to do: that closes some of the
 * descriptors and opens others, so take them all out of the event loop before,
 * and drain; and put in those that there are then. A CPU that is back is sampled
 * again within 2 s. For the whole machine only: in a tree's events the kernel
 * does this by itself, but a CPU that was not there at the start is not seen. */
bool sampler_check_cpus(struct sampler *s, uint64_t now_ns);
void sampler_update_cpus(struct sampler *s);

void sampler_stats(const struct sampler *s, struct sampler_stats *ret_stats);
