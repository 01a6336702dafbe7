/*
 * Opening the events of every CPU, and taking less where more is refused. In the
 * order in which it is tried:
 *
 *   losses by event (Linux 6.0) -> by ring, as LOST records tell them
 *   the build-id in mapping records (Linux 5.12) -> device and inode
 *   kernel and user -> user only (kernel.perf_event_paranoid 2)
 *   `cycles` -> `cpu-clock`, if no event was asked for by name
 *   the ring -> half of it, down to one page (kernel.perf_event_mlock_kb)
 *   the stack copy -> what leaves room for some samples in the ring
 *
 * An event of one CPU and one process that passes to its children
 * (attr.inherit) may have a ring only when it is bound to a CPU, so a command's
 * tree takes one event a CPU as well.
 */
#include "daemon/cpu/sampler-state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

#define DEFAULT_FREQUENCY_HZ	 99
#define MAX_FREQUENCY_HZ	 50000
/* Of all rings together, and of one: 128 of the largest samples, 1.3 s at 99 Hz. */
#define DEFAULT_RINGS_BYTES	 (32u << 20)
#define DEFAULT_RING_BYTES	 (8u << 20)
#define DEFAULT_RING_LEAST_BYTES (1u << 20)
#define MAX_RING_BYTES		 (64u << 20)
#define MAX_STACK_BYTES		 (63u << 10) /* a record's size has 16 bits */
/* The most there is. A copy of 16 KiB cuts 2% of the stacks of gcc and git, one of 32
 * KiB 0.8%, one of 63 KiB 0.1%; PostgreSQL has single frames of 40 KiB. A stack that is
 * shorter is copied in its own length, it only takes the room in the ring. */
#define DEFAULT_STACK_BYTES	 MAX_STACK_BYTES
#define MIN_SAMPLES_IN_RING	 8u
#define RINGS_A_SECOND		 4 /* so long should one last, however late the engine is */

/* Gives up, one by one, what an older kernel or a lesser right does not allow. */
static int open_events(struct sampler *s)
{
	struct perf_event_attr *a = &s->event.attr;

	for (;;) {
		int rc;

		a->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED;
		if (!s->no_lost)
			a->read_format |= PERF_FORMAT_LOST;
		rc = sampler_open_cpus(s);
		if (rc == -EINVAL && !s->no_lost) {
			s->no_lost = true;
		} else if (rc == -EINVAL && !s->no_build_id) {
			s->no_build_id = true;
		} else if ((rc == -EACCES || rc == -EPERM) && !a->exclude_kernel && s->pid &&
			   !s->event.in_kernel) {
			a->exclude_kernel = 1;
			a->exclude_callchain_kernel = 1;
			s->no_lost = s->no_build_id = false;
			s->restricted = true;
		} else {
			return rc;
		}
	}
}

static int map_all(struct sampler *s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int rc;

	for (;;) {
		size_t n = 0;

		rc = 0;
		while (rc == 0 && n < s->n_cpus) {
			rc = sampler_map_cpu(s, &s->cpus[n]);
			n += rc == 0;
		}
		if (rc == 0 || s->ring_bytes <= page)
			return rc;
		if (rc != -EPERM && rc != -ENOMEM && rc != -EINVAL)
			return rc;
		while (n > 0)
			ring_unmap(&s->cpus[--n].ring);
		s->ring_bytes /= 2;
	}
}

static size_t samples_in_ring(const struct sampler *s)
{
	unsigned wanted = s->frequency_hz / RINGS_A_SECOND;

	return max(wanted, MIN_SAMPLES_IN_RING);
}

/* The events, in the largest form that is granted. */
static int open_and_map(const struct sampler_config *config, struct sampler *s)
{
	const struct event as_named = s->event;

	for (;;) {
		uint32_t room;
		int rc;

		s->event = as_named;
		s->restricted = s->no_lost = s->no_build_id = false;
		event_set_sampling(&s->event, s->frequency_hz, s->stack_bytes, s->ring_bytes,
				   s->pid != 0);
		rc = open_events(s);
		if (rc < 0)
			return rc;
		rc = map_all(s);
		if (rc < 0) {
			sampler_close(s);
			return rc == -EPERM ? -ENOBUFS : rc;
		}
		room = (uint32_t)(s->ring_bytes / samples_in_ring(s)) & ~7u;
		if (config->stack_bytes != 0 || s->stack_bytes <= room)
			return 0;
		sampler_close(s);
		s->stack_bytes = room;
	}
}

/* @known: the name is that of an event, which this machine cannot count. */
static void explain_absence(struct keeper *keeper, const char *event, bool known, char *why,
			    size_t size)
{
	char available[256];

	event_list_available(keeper, available, sizeof(available));
	if (known)
		snprintf(why, size,
			 "event %s: this machine's kernel has no such counter; it has: %s", event,
			 available);
	else
		snprintf(why, size, "event %s: no such event; this machine has: %s", event,
			 available);
}

static void explain_name(struct keeper *keeper, const char *event, int error, char *why,
			 size_t size)
{
	switch (-error) {
	case EINVAL:
		snprintf(why, size,
			 "event %s: the period of a clock is its frequency: use :freq=HZ", event);
		return;
	case ENXIO:
		snprintf(why, size,
			 "event %s: tracepoints need tracefs: mount -t tracefs tracefs "
			 "/sys/kernel/tracing",
			 event);
		return;
	case EACCES:
		snprintf(why, size,
			 "event %s: /sys/kernel/tracing may not be read: tracepoints are root's",
			 event);
		return;
	case ENAMETOOLONG:
		snprintf(why, size, "event %.16s..: longer than the %d bytes of a name", event,
			 EVENT_NAME_BYTES - 1);
		return;
	default:
		explain_absence(keeper, event, false, why, size);
	}
}

static void explain(const struct sampler *s, int error, char *why, size_t size)
{
	const char *event = s->event.name;

	switch (-error) {
	case EACCES:
	case EPERM:
		snprintf(why, size,
			 "perf_event_open: %spermission denied: run as root, or set "
			 "kernel.perf_event_paranoid to %s (a container's seccomp filter may "
			 "forbid it, too)",
			 s->event.in_kernel ? "the event happens in the kernel: " : "",
			 s->event.in_kernel ? (s->pid ? "1 or less" : "-1")
			 : s->pid	    ? "2 or less"
					    : "0 or less");
		return;
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		explain_absence(s->keeper, event, true, why, size);
		return;
	case EINVAL:
		snprintf(why, size,
			 "perf_event_open: event %s cannot be sampled like this (is "
			 "kernel.perf_event_max_sample_rate too low?)",
			 event);
		return;
	case ENOBUFS:
		snprintf(why, size,
			 "perf ring buffer: not even one page is granted: raise "
			 "kernel.perf_event_mlock_kb, or the limit of locked memory");
		return;
	case EMFILE:
		snprintf(why, size,
			 "perf_event_open: too many open files: raise the limit (ulimit -n)");
		return;
	case ENOSYS:
		snprintf(why, size, "perf_event_open: this kernel was built without perf events");
		return;
	case ESRCH:
		snprintf(why, size, "perf_event_open: no process %d", (int)s->pid);
		return;
	default:
		snprintf(why, size, "perf_event_open: event %s: %s", event, strerror(-error));
	}
}

static int open_named(const struct sampler_config *config, const char *name, struct sampler *s,
		      char *why, size_t why_size)
{
	int rc = event_find(s->keeper, name, &s->event);

	if (rc < 0) {
		explain_name(s->keeper, name, rc, why, why_size);
		return rc;
	}
	if (s->event.own_frequency_hz != 0)
		s->frequency_hz = s->event.own_frequency_hz;
	if (s->frequency_hz > MAX_FREQUENCY_HZ) {
		snprintf(why, why_size, "%u samples a second: at most %d are supported",
			 s->frequency_hz, MAX_FREQUENCY_HZ);
		return -ERANGE;
	}
	rc = open_and_map(config, s);
	if (rc < 0)
		explain(s, rc, why, why_size);
	return rc;
}

static size_t power_of_two_pages(size_t bytes)
{
	size_t n = (size_t)sysconf(_SC_PAGESIZE);

	while (n < bytes && n < MAX_RING_BYTES)
		n *= 2;
	return n;
}

static void set_sizes(const struct sampler_config *config, struct sampler *s)
{
	uint32_t stack = config->stack_bytes;
	size_t ring = config->ring_bytes;

	if (stack == 0)
		stack = DEFAULT_STACK_BYTES;
	if (ring == 0)
		ring = ring_fair_bytes(DEFAULT_RING_BYTES, DEFAULT_RINGS_BYTES,
				       DEFAULT_RING_LEAST_BYTES, sysconf(_SC_NPROCESSORS_ONLN));
	s->stack_bytes = (min(stack, (uint32_t)MAX_STACK_BYTES) + 7) & ~7u;
	s->ring_bytes = power_of_two_pages(ring);
	s->frequency_hz = config->frequency_hz ? config->frequency_hz : DEFAULT_FREQUENCY_HZ;
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -EOPNOTSUPP || error == -ENODEV;
}

static int enable_all(struct sampler *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n_cpus; i++)
		rc = sampler_enable_cpu(&s->cpus[i]);
	return rc;
}

int sampler_open(struct keeper *keeper, const struct sampler_config *config, struct sampler *s,
		 char *why, size_t why_size)
{
	const char *absent = "";
	int rc;

	s->keeper = keeper;
	s->pid = config->pid;
	s->online = config->online;
	set_sizes(config, s);
	rc = open_named(config, config->event ?: "cycles", s, why, why_size);
	if (is_absent(rc) && !config->event) {
		absent = "no hardware counter for cycles here";
		set_sizes(config, s);
		rc = open_named(config, "cpu-clock", s, why, why_size);
	}
	if (rc < 0)
		return rc;
	if (!config->pid) { /* a tree starts to be sampled by itself, at its exec */
		rc = enable_all(s);
		if (rc < 0) {
			explain(s, rc, why, why_size);
			sampler_close(s);
			return rc;
		}
	}
	s->stats.exact = !s->no_lost;
	snprintf(s->note, sizeof(s->note), "%s%s%s", absent, absent[0] && s->restricted ? "; " : "",
		 s->restricted ? "user code only (kernel.perf_event_paranoid)" : "");
	return 0;
}
