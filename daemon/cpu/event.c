/*
 * libpfm4 knows what an event is called and how its hardware counts it; this
 * file knows what profd wants to hear when it fires.
 *
 * How often. A software clock counts nanoseconds, so its period is the time
 * itself: exact from the first sample on. For all others the kernel adjusts the
 * period to meet a frequency, beginning with every single one: what happens
 * rarely is seen each time, what happens a million times a second is not felt.
 * Or the name says a period, and that holds.
 *
 * Two events share each ring. The one that is sampled does nothing else; a
 * second one, which never fires, brings the records about tasks and mappings.
 * The kernel counts what it had no room for by event, so that the number of
 * samples lost is exact, and is known apart from that of mappings.
 */
#include "daemon/cpu/event.h"

#include <errno.h>
#include <perfmon/pfmlib_perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include "daemon/cpu/record.h"
#include "daemon/cpu/tracepoint.h"
#include "profd/base.h"

#define EXAMPLE_SYSTEM "sched"
#define EXAMPLE_NAME   "sched_switch"

static const struct usual {
	const char *name;
	uint32_t type;
	uint64_t config;
	bool in_kernel;
} usual_events[] = {
	{"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false},
	{"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false},
	{"cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, false},
	{"branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES, false},
	{"cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false},
	{"task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, false},
	{"page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false},
	{"minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, false},
	{"major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, false},
	{"context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, true},
	{"cpu-migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, true},
};

/* @ret_attr is of the event and the levels; how often lies in it as well. */
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

/* "SYSTEM:NAME", and what modifies it as libpfm4 would read it behind an event of
 * its own. */
static int encode_tracepoint(struct keeper *keeper, const char *name,
			     struct perf_event_attr *ret_attr)
{
	char parts[EVENT_NAME_BYTES], modified[EVENT_NAME_BYTES + 16];
	struct perf_event_attr attr;
	char *event, *modifiers;
	uint64_t id;
	int rc;

	strcpy(parts, name);
	event = strchr(parts, ':');
	if (!event)
		return -ENOENT;
	*event++ = '\0';
	if (encode_any_spelling(parts, &attr) == 0) /* an event with a modifier unheard of */
		return -ENOENT;
	modifiers = strchr(event, ':');
	if (modifiers)
		*modifiers++ = '\0';
	rc = tracepoint_find(keeper, parts, event, &id);
	if (rc < 0)
		return rc == -EINVAL ? -ENOENT : rc;
	snprintf(modified, sizeof(modified), "page-faults%s%s", modifiers ? ":" : "",
		 modifiers ?: "");
	rc = encode(modified, &attr);
	if (rc < 0)
		return rc;
	attr.type = PERF_TYPE_TRACEPOINT;
	attr.config = id;
	*ret_attr = attr;
	return 0;
}

static const struct usual *find_usual(const struct perf_event_attr *attr)
{
	for (size_t i = 0; i < ARRAY_SIZE(usual_events); i++)
		if (usual_events[i].type == attr->type && usual_events[i].config == attr->config)
			return &usual_events[i];
	return NULL;
}

/* The name without those modifiers that say how often. */
static void strip_rate(const char *name, char *ret, size_t size)
{
	char copy[EVENT_NAME_BYTES], *rest = copy, *part;
	size_t n = 0;

	strcpy(copy, name);
	ret[0] = '\0';
	while ((part = strsep(&rest, ":")) && n < size)
		if (strncmp(part, "period=", 7) != 0 && strncmp(part, "freq=", 5) != 0)
			n += (size_t)snprintf(ret + n, size - n, "%s%s", part > copy ? ":" : "",
					      part);
}

static void set_type(struct event *e, const struct usual *usual)
{
	if (!usual)
		strip_rate(e->name, e->type, sizeof(e->type));
	else
		snprintf(e->type, sizeof(e->type), "%s%s%s", usual->name,
			 e->attr.exclude_kernel ? ":u" : "", e->attr.exclude_user ? ":k" : "");
}

/* A period that is fixed says of a cycle how long it took as little as of any
 * other event. */
static void set_measure(struct event *e)
{
	const struct perf_event_attr *a = &e->attr;

	e->measure = SAMPLER_EVENTS;
	if (a->type == PERF_TYPE_SOFTWARE &&
	    (a->config == PERF_COUNT_SW_CPU_CLOCK || a->config == PERF_COUNT_SW_TASK_CLOCK))
		e->measure = SAMPLER_TIME;
	else if (a->type == PERF_TYPE_HARDWARE && a->config == PERF_COUNT_HW_CPU_CYCLES &&
		 e->own_period == 0)
		e->measure = SAMPLER_CYCLES;
}

int event_find(struct keeper *keeper, const char *name, struct event *ret_event)
{
	struct event e = {0};
	const struct usual *usual;
	int rc;

	if (strlen(name) >= sizeof(e.name))
		return -ENAMETOOLONG;
	strcpy(e.name, name);
	rc = encode_any_spelling(name, &e.attr);
	if (rc < 0)
		rc = encode_tracepoint(keeper, name, &e.attr);
	if (rc < 0)
		return rc;
	/* Period and frequency share one field. */
	if (e.attr.freq)
		e.own_frequency_hz = (unsigned)min(e.attr.sample_freq, (__u64)UINT32_MAX);
	else
		e.own_period = e.attr.sample_period;
	usual = find_usual(&e.attr);
	e.in_kernel = usual ? usual->in_kernel : e.attr.type == PERF_TYPE_TRACEPOINT;
	set_type(&e, usual);
	set_measure(&e);
	if (e.measure == SAMPLER_TIME && e.own_period != 0)
		return -EINVAL;
	*ret_event = e;
	return 0;
}

static void set_rate(struct event *event, unsigned frequency_hz)
{
	struct perf_event_attr *a = &event->attr;

	a->freq = 0;
	if (event->measure == SAMPLER_TIME) {
		a->sample_period = NSEC_PER_SEC / frequency_hz;
	} else if (event->own_period != 0) {
		a->sample_period = event->own_period;
	} else {
		a->freq = 1;
		a->sample_freq = frequency_hz;
	}
}

void event_set_sampling(struct event *event, unsigned frequency_hz, uint32_t stack_bytes,
			size_t ring_bytes, bool tree)
{
	struct perf_event_attr *a = &event->attr;

	set_rate(event, frequency_hz);
	a->sample_type = RECORD_SAMPLE_TYPE;
	/* A software event whose samples tell their periods is sampled each time,
	 * whatever the period that was asked for. */
	if (event->own_period != 0)
		a->sample_type &= ~(__u64)PERF_SAMPLE_PERIOD;
	a->sample_regs_user = RECORD_REGS_USER;
	a->sample_stack_user = stack_bytes;
	a->exclude_callchain_user = 1; /* user stacks are walked from the copy */
	a->exclude_idle = 1;
	a->sample_id_all = 1;
	a->use_clockid = 1;
	a->clockid = CLOCK_MONOTONIC;
	a->watermark = 1;
	a->wakeup_watermark = (__u32)min(ring_bytes / 2, (size_t)INT32_MAX);
	a->disabled = 1;
	a->inherit = tree;
	a->enable_on_exec = tree;
}

void event_make_side(const struct event *event, struct perf_event_attr *ret_attr)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = event->attr.sample_type & RECORD_TRAILER_TYPE,
		.exclude_kernel = event->attr.exclude_kernel,
		.exclude_hv = 1,
		.sample_id_all = 1,
		.read_format = event->attr.read_format,
		.use_clockid = 1,
		.clockid = event->attr.clockid,
		.watermark = 1,
		.wakeup_watermark = event->attr.wakeup_watermark,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.disabled = 1,
		.inherit = event->attr.inherit,
		.enable_on_exec = event->attr.enable_on_exec,
	};

	*ret_attr = a;
}

/* Can this very process sample it? Opened and closed at once. */
static bool is_available(struct keeper *keeper, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct event e;

	if (event_find(keeper, name, &e) < 0)
		return false;
	set_rate(&e, 1);
	e.attr.exclude_kernel = 1;
	e.attr.disabled = 1;
	fd = keeper_open_event(keeper, &e.attr, getpid(), -1, 0);
	return fd >= 0;
}

void event_list_available(struct keeper *keeper, char *ret, size_t size)
{
	uint64_t id;
	size_t n = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(usual_events) && n < size; i++)
		if (is_available(keeper, usual_events[i].name))
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "",
					      usual_events[i].name);
	if (n < size && tracepoint_find(keeper, EXAMPLE_SYSTEM, EXAMPLE_NAME, &id) == 0)
		n += (size_t)snprintf(ret + n, size - n, "%stracepoints such as %s:%s",
				      n ? ", and " : "", EXAMPLE_SYSTEM, EXAMPLE_NAME);
	if (n == 0)
		snprintf(ret, size, "none");
}
