/*
 * Draining, as the CPU sampler does it: all rings merged by time, each record
 * handled where it lies. Of a switch the kernel writes two records, from both
 * sides; the first says it all, the second is looked at only when it is not the
 * one that was to come.
 *
 * The work is bounded by what lies in the rings when a drain begins, and drains
 * come no closer than SWITCHES_DRAIN_NS: a CPU's ring of 2 MiB holds 65536 short
 * records, so at most 660,000 switches a second and CPU are handled, whatever
 * the machine does, and PROFD_MAX_WAIT_STACKS stacks a second (some 9 us each,
 * with the unwinding), or for a moment what the rings of stacks hold.
 *
 * The period is drawn anew with each adaptation, from a range of half its size:
 * two threads that take turns would otherwise be in step with it, and one of
 * them never be chosen.
 */
#include "daemon/cpu/switches.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "daemon/cpu/record.h"
#include "daemon/cpu/switch-record.h"
#include "daemon/cpu/switches-state.h"
#include "profd/base.h"
#include "profd/limits.h"

int switches_new(struct keeper *keeper, const struct switches_config *config,
		 struct switches **ret_s, char *why, size_t why_size)
{
	struct switches *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s)
		s->scratch = malloc(RING_RECORD_MAX);
	if (s && s->scratch) {
		s->adapted = config->period == 0;
		s->period = s->adapted ? 1 : config->period;
		s->random = 0x9e3779b97f4a7c15;
		r = switches_open(keeper, config, s, why, why_size);
	} else {
		snprintf(why, why_size, "out of memory");
	}
	if (r < 0) {
		switches_free(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

void switches_free(struct switches *s)
{
	if (!s)
		return;
	switches_close(s);
	free(s->scratch);
	free(s);
}

void switches_stats(const struct switches *s, struct switches_stats *ret_stats)
{
	*ret_stats = s->stats;
	ret_stats->period = s->period;
}

const char *switches_note(const struct switches *s)
{
	return s->note;
}

/* ---- draining */

static void look_ahead(struct switches *s, struct switches_lane *lane)
{
	int bytes = ring_look_ahead(&lane->ring,
				    lane->stacks ? record_time_offset : switch_record_time_offset,
				    &lane->next_ns);

	s->stats.malformed += bytes < 0;
	lane->next_bytes = (size_t)max(bytes, 0);
	lane->next_ns = max(lane->next_ns, lane->last_ns);
}

/* The lane with the oldest record, and how long it is going to be that. */
static struct switches_lane *oldest(struct switches *s, uint64_t horizon_ns, uint64_t *ret_until)
{
	struct switches_lane *found = NULL;
	uint64_t until = horizon_ns;

	for (size_t i = 0; i < s->n_lanes; i++) {
		struct switches_lane *lane = &s->lanes[i];

		if (lane->next_bytes == 0)
			continue;
		if (!found || lane->next_ns < found->next_ns) {
			if (found)
				until = min(until, found->next_ns);
			found = lane;
		} else {
			until = min(until, lane->next_ns);
		}
	}
	*ret_until = until;
	return found;
}

static void handle_switch(struct switches *s, struct switches_lane *lane,
			  const struct switch_record *r, const struct switches_handlers *handlers,
			  void *userdata)
{
	struct switches_switch one = {.cpu = lane->cpu, .time_ns = lane->next_ns};

	if (r->in) {
		if (r->tid == lane->in_tid) /* as was said */
			return;
		one.in_pid = r->pid;
		one.in_tid = r->tid;
	} else {
		one.out_pid = r->pid;
		one.out_tid = r->tid;
		one.preempted = r->preempted;
		one.in_pid = r->other_pid;
		one.in_tid = r->other_tid;
		s->stats.switches += r->tid > 0 && !r->preempted;
	}
	lane->in_tid = one.in_tid;
	handlers->on_switch(&one, userdata);
}

static int handle_short(struct switches *s, struct switches_lane *lane, const uint8_t *bytes,
			const struct switches_handlers *handlers, void *userdata)
{
	struct switch_record r;
	int rc = switch_record_parse(bytes, lane->next_bytes, &r);

	if (rc < 0)
		return rc;
	switch (r.type) {
	case PERF_RECORD_SWITCH_CPU_WIDE:
		handle_switch(s, lane, &r, handlers, userdata);
		break;
	case PERF_RECORD_FORK:
		handlers->on_start(r.tid, lane->next_ns, userdata);
		break;
	case PERF_RECORD_EXIT:
		handlers->on_exit(r.tid, lane->next_ns, userdata);
		break;
	default: /* LOST, LOST_SAMPLES */
		s->stats.records_lost += r.lost;
		lane->in_tid = 0;
		handlers->on_lost(lane->last_ns, userdata);
	}
	return 0;
}

/* What stands where the period would is the number of switches so far. */
static uint64_t weigh(struct switches_lane *lane, uint64_t so_far)
{
	uint64_t since = so_far - min(lane->counted, so_far);

	lane->counted = so_far;
	return max(since, (uint64_t)1);
}

static int handle_stack(struct switches *s, struct switches_lane *lane, const uint8_t *bytes,
			const struct switches_handlers *handlers, void *userdata)
{
	struct record r;
	int rc = record_parse(bytes, lane->next_bytes, 0, &r);

	if (rc < 0)
		return rc;
	if (r.type == PERF_RECORD_LOST || r.type == PERF_RECORD_LOST_SAMPLES) {
		s->stats.stacks_lost += r.lost;
	} else if (r.type == PERF_RECORD_SAMPLE && r.sample.pid > 0) {
		r.sample.time_ns = lane->next_ns;
		r.sample.period = weigh(lane, r.sample.period);
		s->stats.stacks++;
		handlers->on_stack(&r.sample, userdata);
	}
	return 0;
}

static void handle_next(struct switches *s, struct switches_lane *lane,
			const struct switches_handlers *handlers, void *userdata)
{
	const uint8_t *bytes = ring_read(&lane->ring, lane->next_bytes, s->scratch);
	int rc = lane->stacks ? handle_stack(s, lane, bytes, handlers, userdata)
			      : handle_short(s, lane, bytes, handlers, userdata);

	s->stats.malformed += rc == -EBADMSG;
	lane->last_ns = lane->next_ns;
	ring_advance(&lane->ring, lane->next_bytes);
	look_ahead(s, lane);
}

void switches_drain(struct switches *s, uint64_t horizon_ns,
		    const struct switches_handlers *handlers, void *userdata)
{
	struct switches_lane *lane;
	uint64_t until;

	for (size_t i = 0; i < s->n_lanes; i++) {
		ring_refresh(&s->lanes[i].ring);
		look_ahead(s, &s->lanes[i]);
	}
	while ((lane = oldest(s, horizon_ns, &until)) && lane->next_ns < horizon_ns)
		do {
			handle_next(s, lane, handlers, userdata);
		} while (lane->next_bytes > 0 && lane->next_ns < until);
}

/* ---- adaptation */

static uint64_t random_below(struct switches *s, uint64_t limit)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return limit ? s->random % limit : 0;
}

void switches_adapt(struct switches *s, uint64_t now_ns)
{
	uint64_t ns = now_ns - s->adapted_ns, least;
	uint64_t switches = s->stats.switches + s->stats.records_lost / 2;
	uint64_t came = switches - s->adapted_switches, period;

	if (!s->adapted || (s->adapted_ns && ns < SWITCHES_DRAIN_NS / 2))
		return;
	least = s->adapted_ns ? came * NSEC_PER_SEC / ns / PROFD_MAX_WAIT_STACKS + 1 : 1;
	s->adapted_ns = now_ns;
	s->adapted_switches = switches;
	if (least == 1 && s->period == 1)
		return;
	period = least == 1 ? 1 : least + random_below(s, least / 2 + 1);
	for (size_t i = 0; i < s->n_lanes; i++)
		if (s->lanes[i].stacks)
			(void)ioctl(s->lanes[i].fd, PERF_EVENT_IOC_PERIOD, &period);
	s->period = (unsigned)min(period, (uint64_t)UINT32_MAX);
}
