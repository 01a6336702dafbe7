/*
 * Two events a CPU. The stacks come from the scheduler's tracepoint, where the
 * thread that is switched out is still the current one; a filter in the kernel
 * passes only those that cannot run, so that preemption costs nothing. No raw
 * data is asked for: the filter has said all that it holds. Its number is in
 * tracefs; where that is not mounted, the software event `context-switches`
 * fires at nearly the same place, but for preempted threads too: those stacks
 * are dropped when the switch itself has told.
 *
 * The short records come with a dummy event. Neither wakes anybody.
 */
#include "daemon/cpu/switches-state.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "daemon/cpu/record.h"
#include "daemon/cpu/switch-record.h"
#include "daemon/cpu/tracepoint.h"
#include "profd/base.h"

#define STACK_BYTES	      (16u << 10)
#define STACK_RING_BYTES      (2u << 20) /* some 120 stacks */
#define STACK_RINGS_BYTES     (32u << 20)
#define STACK_RING_MIN_BYTES  (256u << 10)
#define SWITCH_RING_BYTES     (2u << 20) /* 65536 records; 100,000 switches a second: 10,000 */
#define SWITCH_RINGS_BYTES    (64u << 20)
#define SWITCH_RING_MIN_BYTES (128u << 10)

/* All that sleeps or is stopped; not the dead (0x30), nor the preempted (0, or
 * 0x100), nor workers of the kernel that idle (0x80). */
#define FILTER "prev_state & 0x4f && prev_pid != 0"

/*
 * A software event that is to tell its period takes a sample each time, whatever
 * the period. So it is asked for its count instead, which lies at the same place
 * of the sample, and says more: how many switches there were since the last
 * stack, with those that found no room in the ring.
 */
#define STACK_SAMPLE_TYPE ((RECORD_SAMPLE_TYPE & ~PERF_SAMPLE_PERIOD) | PERF_SAMPLE_READ)
static_assert((RECORD_SAMPLE_TYPE & (PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ)) == PERF_SAMPLE_PERIOD,
	      "one for the other");

static void set_attr(struct perf_event_attr *a, uint64_t config, uint64_t sample_type)
{
	*a = (struct perf_event_attr){
		.size = sizeof(*a),
		.type = PERF_TYPE_SOFTWARE,
		.config = config,
		.sample_period = 1,
		.sample_type = sample_type,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = INT32_MAX,
		.disabled = 1,
	};
}

static void set_stacks(struct perf_event_attr *a, unsigned period)
{
	set_attr(a, PERF_COUNT_SW_CONTEXT_SWITCHES, STACK_SAMPLE_TYPE);
	a->sample_period = period;
	a->sample_regs_user = RECORD_REGS_USER;
	a->sample_stack_user = STACK_BYTES;
	a->exclude_callchain_user = 1; /* user stacks are walked from the copy */
}

static void set_switches(struct perf_event_attr *a)
{
	set_attr(a, PERF_COUNT_SW_DUMMY, SWITCH_RECORD_SAMPLE_TYPE);
	a->context_switch = 1;
	a->task = 1;
}

void switches_close(struct switches *s)
{
	for (size_t i = 0; i < s->n_lanes; i++) {
		ring_unmap(&s->lanes[i].ring);
		close(s->lanes[i].fd);
	}
	free(s->lanes);
	s->lanes = NULL;
	s->n_lanes = 0;
}

/* Where locked memory is short, half as much will do. */
static int map(struct keeper *keeper, struct switches_lane *lane, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int r;

	do {
		(void)keeper_lend_ring(keeper, lane->fd, bytes);
		r = ring_map(&lane->ring, lane->fd, bytes);
		bytes /= 2;
	} while ((r == -EPERM || r == -ENOMEM) && bytes >= page);
	return r;
}

static int open_lane(struct keeper *keeper, const struct perf_event_attr *attr, int cpu,
		     size_t ring_bytes, struct switches *s)
{
	struct switches_lane *lane = &s->lanes[s->n_lanes];
	int fd = keeper_open_event(keeper, attr, -1, cpu, 0);

	if (fd < 0)
		return fd;
	*lane = (struct switches_lane){
		.fd = fd,
		.cpu = cpu,
		.stacks = attr->sample_type == STACK_SAMPLE_TYPE,
	};
	s->n_lanes++;
	if (attr->type == PERF_TYPE_TRACEPOINT && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, FILTER) < 0)
		return -errno;
	return map(keeper, lane, ring_bytes);
}

static int open_all(struct keeper *keeper, const struct perf_event_attr *stacks,
		    const struct perf_event_attr *switches, size_t ring_bytes, struct switches *s)
{
	long n_cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t stack_bytes =
		ring_fair_bytes(STACK_RING_BYTES, STACK_RINGS_BYTES, STACK_RING_MIN_BYTES, n_cpus);
	int r = 0;

	if (ring_bytes == 0)
		ring_bytes = ring_fair_bytes(SWITCH_RING_BYTES, SWITCH_RINGS_BYTES,
					     SWITCH_RING_MIN_BYTES, n_cpus);
	s->lanes = calloc((size_t)n_cpus * 2, sizeof(*s->lanes));
	if (!s->lanes)
		return -ENOMEM;
	for (int cpu = 0; r == 0 && cpu < n_cpus; cpu++) {
		/* of records of one moment the stack comes first, as it does in time */
		r = open_lane(keeper, stacks, cpu, stack_bytes, s);
		if (r == 0)
			r = open_lane(keeper, switches, cpu, ring_bytes, s);
		if (r == -ENODEV) /* off line */
			r = 0;
	}
	if (r == 0 && s->n_lanes == 0)
		r = -ENODEV;
	for (size_t i = 0; r == 0 && i < s->n_lanes; i++)
		if (ioctl(s->lanes[i].fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
			r = -errno;
	return r;
}

static void explain(int error, char *why, size_t size)
{
	if (error == -EACCES || error == -EPERM)
		snprintf(why, size,
			 "offcpu: permission denied: the scheduler's switches are shown to root "
			 "only (or with kernel.perf_event_paranoid at -1)");
	else if (error == -EMFILE)
		snprintf(why, size, "offcpu: too many open files: raise the limit (ulimit -n)");
	else
		snprintf(why, size, "offcpu: perf_event_open: %s", strerror(-error));
}

int switches_open(struct keeper *keeper, const struct switches_config *config, struct switches *s,
		  char *why, size_t why_size)
{
	struct perf_event_attr stacks, switches;
	uint64_t tracepoint;
	int r = -ENOENT;

	set_stacks(&stacks, s->period);
	set_switches(&switches);
	s->note = "";
	if (tracepoint_find(keeper, "sched", "sched_switch", &tracepoint) == 0) {
		struct perf_event_attr traced = stacks;

		traced.type = PERF_TYPE_TRACEPOINT;
		traced.config = tracepoint;
		r = open_all(keeper, &traced, &switches, config->ring_bytes, s);
	}
	if (r < 0) {
		switches_close(s);
		s->note = "stacks from the event context-switches: no tracepoint "
			  "sched:sched_switch (is tracefs mounted, and open to profd?)";
		r = open_all(keeper, &stacks, &switches, config->ring_bytes, s);
	}
	if (r < 0)
		explain(r, why, why_size);
	return r;
}
