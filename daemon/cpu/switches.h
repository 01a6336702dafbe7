/*
 * The scheduler's switches, of the whole machine: all of them as short records,
 * and of one in so many the stack of the thread that is switched out. Costs
 * something with every switch, so it is opened only while somebody asks.
 *
 * Stacks are kept below PROFD_MAX_WAIT_STACKS a second: switches_adapt() raises
 * the number of switches to a stack. The rings bound the rest: they are read on
 * a timer only, so that what is not read costs next to nothing, and is counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/cpu/sampler.h"
#include "daemon/keeper/keeper.h"

#define SWITCHES_DRAIN_NS (50 * NSEC_PER_MSEC) /* how often the caller should */

struct switches;

struct switches_config {
	size_t ring_bytes; /* of the short records, a CPU; 0: the default */
	unsigned period;   /* switches to a stack, for good; 0: adapted */
};

struct switches_switch {
	pid_t out_pid, out_tid; /* <= 0: idle, or a thread that has ended */
	pid_t in_pid, in_tid;
	bool preempted; /* it could have gone on */
	int cpu;
	uint64_t time_ns;
};

struct switches_handlers {
	/* Just before the same thread's switch. The period is its weight. */
	void (*on_stack)(const struct sampler_sample *s, void *userdata);
	void (*on_switch)(const struct switches_switch *s, void *userdata);
	void (*on_start)(pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_exit)(pid_t tid, uint64_t time_ns, void *userdata);
	void (*on_lost)(uint64_t since_ns, void *userdata); /* switches are missing */
};

struct switches_stats {
	uint64_t switches; /* away from a thread that waits from then on */
	uint64_t stacks;
	uint64_t stacks_lost, records_lost; /* no room in the ring */
	uint64_t malformed;
	unsigned period; /* switches to a stack, now; 1: each has one */
};

/* Returns 0, or -errno with one line in @why. */
int switches_new(struct keeper *keeper, const struct switches_config *config,
		 struct switches **ret_s, char *why, size_t why_size);
void switches_free(struct switches *s);

/* Records before @horizon_ns, of all CPUs, in order of time; UINT64_MAX: all. */
void switches_drain(struct switches *s, uint64_t horizon_ns,
		    const struct switches_handlers *handlers, void *userdata);

/* Sets the period by what came since the last call, at @now_ns. */
void switches_adapt(struct switches *s, uint64_t now_ns);

void switches_stats(const struct switches *s, struct switches_stats *ret_stats);
const char *switches_note(const struct switches *s); /* what is less than wished for; "" */
