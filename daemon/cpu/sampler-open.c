/*
 * Opening one event on every CPU, and taking less where more is refused. In the
 * order in which it is tried:
 *
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
#include <sys/ioctl.h>

#include "profd/base.h"

#define DEFAULT_FREQUENCY_HZ	 99
#define MAX_FREQUENCY_HZ	 50000
#define DEFAULT_RING_BYTES	 (2u << 20) /* 128 samples: more than a second at 99 Hz */
#define DEFAULT_TREE_RING_BYTES	 (4u << 20)
#define MAX_RING_BYTES		 (64u << 20)
#define DEFAULT_STACK_BYTES	 (16u << 10) /* whole machine */
#define DEFAULT_TREE_STACK_BYTES (32u << 10) /* one command: few processes, deep stacks */
#define MAX_STACK_BYTES		 (63u << 10) /* a record's size has 16 bits */
#define MIN_SAMPLES_IN_RING	 4
#define MAX_CPUS		 4096

void sampler_close(struct sampler *s)
{
	for (size_t i = 0; i < s->n_cpus; i++) {
		ring_unmap(&s->cpus[i].ring);
		close(s->cpus[i].fd);
	}
	free(s->cpus);
	s->cpus = NULL;
	s->n_cpus = 0;
}

/* The next "A-B" or "A" of a list like "0-3,5". */
static bool next_range(const char **at, unsigned *ret_first, unsigned *ret_last)
{
	char *end;

	*ret_first = (unsigned)strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*ret_last = *end == '-' ? (unsigned)strtoul(end + 1, &end, 10) : *ret_first;
	*at = *end == ',' ? end + 1 : end;
	return *ret_first <= *ret_last && *ret_last < MAX_CPUS;
}

static void read_online_cpus(char *ret, size_t size)
{
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");
	bool read = f && fgets(ret, (int)size, f);

	if (f)
		fclose(f);
	if (!read)
		snprintf(ret, size, "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
}

static int open_cpu(struct keeper *keeper, const struct sampler_config *config, unsigned cpu,
		    struct sampler *s)
{
	int fd = keeper_open_event(keeper, &s->event.attr, config->pid ? config->pid : -1, (int)cpu,
				   0);
	struct sampler_cpu *p;

	if (fd == -ENODEV) /* has gone offline since the list was read */
		return 0;
	if (fd < 0)
		return fd;
	p = realloc(s->cpus, (s->n_cpus + 1) * sizeof(*p));
	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	s->cpus = p;
	s->cpus[s->n_cpus++] = (struct sampler_cpu){.fd = fd};
	return 0;
}

static int open_all(struct keeper *keeper, const struct sampler_config *config, struct sampler *s)
{
	char online[4096];
	const char *at = online;
	unsigned first, last;
	int rc = 0;

	read_online_cpus(online, sizeof(online));
	while (rc == 0 && next_range(&at, &first, &last))
		for (unsigned cpu = first; rc == 0 && cpu <= last; cpu++)
			rc = open_cpu(keeper, config, cpu, s);
	if (rc == 0 && s->n_cpus == 0)
		rc = -ENODEV;
	if (rc < 0)
		sampler_close(s);
	return rc;
}

/* Gives up, one by one, what an older kernel or a lesser right does not allow. */
static int open_event(struct keeper *keeper, const struct sampler_config *config, struct sampler *s)
{
	struct perf_event_attr *a = &s->event.attr;

	for (;;) {
		int rc = open_all(keeper, config, s);

		if (rc == -EINVAL && a->build_id) {
			a->build_id = 0;
		} else if ((rc == -EACCES || rc == -EPERM) && !a->exclude_kernel && config->pid) {
			a->exclude_kernel = 1;
			a->exclude_callchain_kernel = 1;
			a->build_id = 1;
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
			rc = ring_map(&s->cpus[n].ring, s->cpus[n].fd, s->ring_bytes);
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

/* One event, in the largest form that is granted. */
static int open_and_map(struct keeper *keeper, const struct sampler_config *config,
			struct sampler *s)
{
	const struct event as_named = s->event;
	bool tree = config->pid != 0;

	for (;;) {
		uint32_t room;
		int rc;

		s->event = as_named;
		s->restricted = false;
		event_set_sampling(&s->event, s->frequency_hz, s->stack_bytes, s->ring_bytes, tree);
		rc = open_event(keeper, config, s);
		if (rc < 0)
			return rc;
		rc = map_all(s);
		if (rc < 0) {
			sampler_close(s);
			return rc == -EPERM ? -ENOBUFS : rc;
		}
		room = (uint32_t)(s->ring_bytes / MIN_SAMPLES_IN_RING / 2) & ~7u;
		if (config->stack_bytes != 0 || s->stack_bytes <= room)
			return 0;
		sampler_close(s);
		s->stack_bytes = room;
	}
}

static void explain(struct keeper *keeper, const struct sampler_config *config, const char *event,
		    int error, char *why, size_t size)
{
	char available[256];

	switch (-error) {
	case EACCES:
	case EPERM:
		snprintf(why, size,
			 "perf_event_open: permission denied: run as root, or set "
			 "kernel.perf_event_paranoid to %s (a container's seccomp filter may "
			 "forbid it, too)",
			 config->pid ? "2 or less" : "0 or less");
		return;
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		event_list_available(keeper, available, sizeof(available));
		snprintf(why, size, "event %s: not known on this machine, which has: %s", event,
			 available);
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
		snprintf(why, size, "perf_event_open: no process %d", (int)config->pid);
		return;
	default:
		snprintf(why, size, "perf_event_open: event %s: %s", event, strerror(-error));
	}
}

static int open_named(struct keeper *keeper, const struct sampler_config *config, const char *name,
		      struct sampler *s, char *why, size_t why_size)
{
	int rc = event_find(name, &s->event);

	if (rc == -EINVAL) {
		snprintf(why, why_size,
			 "event %s: a fixed period says nothing about time: use :freq=HZ", name);
		return rc;
	}
	if (rc == 0) {
		if (s->event.own_frequency_hz != 0)
			s->frequency_hz = s->event.own_frequency_hz;
		rc = s->frequency_hz > MAX_FREQUENCY_HZ ? -ERANGE : open_and_map(keeper, config, s);
	}
	if (rc == -ERANGE)
		snprintf(why, why_size, "%u samples a second: at most %d are supported",
			 s->frequency_hz, MAX_FREQUENCY_HZ);
	else if (rc < 0)
		explain(keeper, config, name, rc, why, why_size);
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
		stack = config->pid ? DEFAULT_TREE_STACK_BYTES : DEFAULT_STACK_BYTES;
	if (ring == 0)
		ring = config->pid ? DEFAULT_TREE_RING_BYTES : DEFAULT_RING_BYTES;
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
	for (size_t i = 0; i < s->n_cpus; i++)
		if (ioctl(s->cpus[i].fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
			return -errno;
	return 0;
}

int sampler_open(struct keeper *keeper, const struct sampler_config *config, struct sampler *s,
		 char *why, size_t why_size)
{
	const char *absent = "";
	int rc;

	set_sizes(config, s);
	rc = open_named(keeper, config, config->event ? config->event : "cycles", s, why, why_size);
	if (is_absent(rc) && !config->event) {
		absent = "no hardware counter for cycles here";
		set_sizes(config, s);
		rc = open_named(keeper, config, "cpu-clock", s, why, why_size);
	}
	if (rc < 0)
		return rc;
	if (!config->pid) { /* a tree starts to be sampled by itself, at its exec */
		rc = enable_all(s);
		if (rc < 0) {
			explain(keeper, config, s->event.name, rc, why, why_size);
			sampler_close(s);
			return rc;
		}
	}
	snprintf(s->note, sizeof(s->note), "%s%s%s", absent, absent[0] && s->restricted ? "; " : "",
		 s->restricted ? "user code only (kernel.perf_event_paranoid)" : "");
	return 0;
}
