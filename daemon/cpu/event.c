/*
 * libpfm4 knows what an event is called and how its hardware counts it; this
 * file knows what profd wants to hear when it fires.
 *
 * How often. A hardware counter overflows after so many events, and the kernel
 * adjusts that number to meet a frequency. A software clock counts nanoseconds,
 * so its period is the time itself: exact from the first sample on.
 */
#include "daemon/cpu/event.h"

#include <errno.h>
#include <perfmon/pfmlib_perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include "daemon/cpu/record.h"
#include "profd/base.h"

static const char *const usual_events[] = {
	"cycles",     "instructions",	  "cache-misses", "branch-misses",  "cpu-clock",
	"task-clock", "context-switches", "page-faults",  "cpu-migrations",
};

static int encode(const char *name, struct perf_event_attr *ret_attr)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	pfm_perf_encode_arg_t arg = {.attr = &attr, .size = sizeof(arg)};

	if (pfm_initialize() != PFM_SUCCESS ||
	    pfm_get_os_event_encoding(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT_EXT, &arg) !=
		    PFM_SUCCESS)
		return -ENOENT;
	*ret_attr = attr;
	return 0;
}

static void replace(char *s, char from, char to)
{
	for (; *s; s++)
		if (*s == from)
			*s = to;
}

/* The perf tool's spelling has dashes, the kernel's constants have underscores,
 * and libpfm4 knows some events by only one of them. */
static int encode_any_spelling(const char *name, struct perf_event_attr *ret_attr)
{
	char spelling[EVENT_NAME_BYTES];
	int rc = encode(name, ret_attr);

	if (rc == 0)
		return 0;
	snprintf(spelling, sizeof(spelling), "%s", name);
	replace(spelling, '_', '-');
	rc = encode(spelling, ret_attr);
	if (rc == 0)
		return 0;
	replace(spelling, '-', '_');
	return encode(spelling, ret_attr);
}

int event_find(const char *name, struct event *ret_event)
{
	struct event e = {0};
	int rc;

	if (strlen(name) >= sizeof(e.name))
		return -ENAMETOOLONG;
	strcpy(e.name, name);
	rc = encode_any_spelling(name, &e.attr);
	if (rc < 0)
		return rc;
	/* Period and frequency share one field. */
	if (e.attr.sample_period != 0 && !e.attr.freq)
		return -EINVAL;
	if (e.attr.freq)
		e.own_frequency_hz = (unsigned)min(e.attr.sample_freq, (__u64)UINT32_MAX);
	e.clock = e.attr.type == PERF_TYPE_SOFTWARE && (e.attr.config == PERF_COUNT_SW_CPU_CLOCK ||
							e.attr.config == PERF_COUNT_SW_TASK_CLOCK);
	*ret_event = e;
	return 0;
}

static void set_frequency(struct event *event, unsigned frequency_hz)
{
	event->attr.freq = !event->clock;
	if (event->clock)
		event->attr.sample_period = NSEC_PER_SEC / frequency_hz;
	else
		event->attr.sample_freq = frequency_hz;
}

void event_set_sampling(struct event *event, unsigned frequency_hz, uint32_t stack_bytes,
			size_t ring_bytes, bool tree)
{
	struct perf_event_attr *a = &event->attr;

	set_frequency(event, frequency_hz);
	a->sample_type = RECORD_SAMPLE_TYPE;
	a->sample_regs_user = RECORD_REGS_USER;
	a->sample_stack_user = stack_bytes;
	a->exclude_callchain_user = 1; /* user stacks are walked from the copy */
	a->exclude_idle = 1;
	a->sample_id_all = 1;
	a->use_clockid = 1;
	a->clockid = CLOCK_MONOTONIC;
	a->watermark = 1;
	a->wakeup_watermark = (__u32)min(ring_bytes / 2, (size_t)INT32_MAX);
	a->mmap = 1;
	a->mmap2 = 1;
	a->build_id = 1;
	a->comm = 1;
	a->comm_exec = 1;
	a->task = 1;
	a->disabled = 1;
	a->inherit = tree;
	a->enable_on_exec = tree;
}

/* Can this very process sample it? Opened and closed at once. */
static bool is_available(struct keeper *keeper, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct event e;

	if (event_find(name, &e) < 0)
		return false;
	set_frequency(&e, 1);
	e.attr.exclude_kernel = 1;
	e.attr.disabled = 1;
	fd = keeper_open_event(keeper, &e.attr, getpid(), -1, 0);
	return fd >= 0;
}

void event_list_available(struct keeper *keeper, char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(usual_events) && n < size; i++)
		if (is_available(keeper, usual_events[i]))
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "",
					      usual_events[i]);
	if (n == 0)
		snprintf(ret, size, "none");
}
