/*
 * The events of each CPU, and following the machine's CPUs as they go and come.
 *
 * Nothing tells us that an event has died with its CPU: it stays readable, it
 * only never fires again, not even when the CPU is back. So the list of CPUs is
 * compared with what is open; and since a CPU may have gone and come between two
 * looks (as all but one do when the machine sleeps), an event that was silent
 * all the while is asked how long it has been on. If that number stands still,
 * it is off.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "daemon/cpu/sampler-state.h"
#include "profd/base.h"

#define MAX_CPUS       4096
#define CHECK_EVERY_NS (NSEC_PER_SEC / 2)

struct cpu_set {
	uint64_t bits[MAX_CPUS / 64];
};

static bool has_cpu(const struct cpu_set *set, unsigned cpu)
{
	return set->bits[cpu / 64] >> cpu % 64 & 1;
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

static void read_online(const struct sampler *s, struct cpu_set *ret_set)
{
	const char *path = s->online ?: "/sys/devices/system/cpu/online";
	char text[4096];
	const char *at = text;
	unsigned first, last;
	FILE *f = fopen(path, "re");
	bool read = f && fgets(text, sizeof(text), f);

	if (f)
		fclose(f);
	if (!read)
		snprintf(text, sizeof(text), "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	*ret_set = (struct cpu_set){0};
	while (next_range(&at, &first, &last))
		for (unsigned cpu = first; cpu <= last; cpu++)
			ret_set->bits[cpu / 64] |= 1ULL << cpu % 64;
}

static void close_cpu(struct sampler_cpu *c)
{
	ring_unmap(&c->ring);
	profd_closep(&c->side_fd);
	profd_closep(&c->fd);
}

void sampler_close(struct sampler *s)
{
	for (size_t i = 0; i < s->n_cpus; i++)
		close_cpu(&s->cpus[i]);
	free(s->cpus);
	s->cpus = NULL;
	s->n_cpus = 0;
}

static int open_side(const struct sampler *s, pid_t pid, struct sampler_cpu *c)
{
	struct perf_event_attr attr;

	event_make_side(&s->event, &attr);
	attr.build_id = !s->no_build_id;
	c->side_fd = keeper_open_event(s->keeper, &attr, pid, (int)c->cpu, 0);
	return min(c->side_fd, 0);
}

/* Adds the events of @cpu. A CPU that has gone since the list was read is left
 * out: 0 all the same. */
static int open_cpu(struct sampler *s, unsigned cpu)
{
	struct sampler_cpu c = {.cpu = cpu, .fd = -1, .side_fd = -1}, *p;
	pid_t pid = s->pid ? s->pid : -1;
	int rc;

	p = realloc(s->cpus, (s->n_cpus + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->cpus = p;
	c.fd = keeper_open_event(s->keeper, &s->event.attr, pid, (int)cpu, 0);
	rc = c.fd < 0 ? c.fd : open_side(s, pid, &c);
	if (rc < 0) {
		close_cpu(&c);
		return rc == -ENODEV ? 0 : rc;
	}
	s->cpus[s->n_cpus++] = c;
	return 0;
}

int sampler_open_cpus(struct sampler *s)
{
	struct cpu_set online;
	int rc = 0;

	read_online(s, &online);
	for (unsigned cpu = 0; rc == 0 && cpu < MAX_CPUS; cpu++)
		if (has_cpu(&online, cpu))
			rc = open_cpu(s, cpu);
	if (rc == 0 && s->n_cpus == 0)
		rc = -ENODEV;
	if (rc < 0)
		sampler_close(s);
	return rc;
}

int sampler_map_cpu(const struct sampler *s, struct sampler_cpu *c)
{
	int rc;

	(void)keeper_lend_ring(s->keeper, c->fd, s->ring_bytes);
	rc = ring_map(&c->ring, c->fd, s->ring_bytes);

	if (rc == 0 && ioctl(c->side_fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0) {
		rc = -errno;
		ring_unmap(&c->ring);
	}
	return rc;
}

int sampler_enable_cpu(const struct sampler_cpu *c)
{
	if (ioctl(c->side_fd, PERF_EVENT_IOC_ENABLE, 0) < 0 ||
	    ioctl(c->fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -errno;
	return 0;
}

int sampler_read_event(const struct sampler *s, int fd, struct sampler_reading *ret_reading)
{
	struct sampler_reading reading = {0};
	size_t size = sizeof(reading) - (s->no_lost ? sizeof(reading.lost) : 0);
	ssize_t n = read(fd, &reading, size);

	if (n != (ssize_t)size)
		return n < 0 ? -errno : -EIO;
	*ret_reading = reading;
	return 0;
}

/* ---- following */

static bool is_off(const struct sampler *s, struct sampler_cpu *c)
{
	struct sampler_reading reading;
	bool silent = c->ring.tail == c->checked_tail;
	uint64_t before = c->enabled_ns;

	c->checked_tail = c->ring.tail;
	c->enabled_ns = 0;
	if (!silent || sampler_read_event(s, c->fd, &reading) < 0)
		return false;
	c->enabled_ns = reading.enabled_ns;
	return before != 0 && before == reading.enabled_ns;
}

bool sampler_check_cpus(struct sampler *s, uint64_t now_ns)
{
	struct cpu_set missing;
	bool changed = false;

	if (s->pid || now_ns < s->next_check_ns)
		return false;
	s->next_check_ns = now_ns + CHECK_EVERY_NS;
	read_online(s, &missing);
	for (size_t i = 0; i < s->n_cpus; i++) {
		struct sampler_cpu *c = &s->cpus[i];

		c->gone = !has_cpu(&missing, c->cpu) || is_off(s, c);
		changed |= c->gone;
		missing.bits[c->cpu / 64] &= ~(1ULL << c->cpu % 64);
	}
	for (size_t i = 0; i < ARRAY_SIZE(missing.bits); i++)
		changed |= missing.bits[i] != 0;
	return changed;
}

static void close_gone(struct sampler *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_cpus; i++)
		if (s->cpus[i].gone)
			close_cpu(&s->cpus[i]);
		else
			s->cpus[kept++] = s->cpus[i];
	s->n_cpus = kept;
}

/* What cannot be had now is asked for again at the next check. */
static void take_up(struct sampler *s, unsigned cpu)
{
	size_t before = s->n_cpus;
	struct sampler_cpu *c;

	if (open_cpu(s, cpu) < 0 || s->n_cpus == before)
		return;
	c = &s->cpus[before];
	if (sampler_map_cpu(s, c) < 0 || sampler_enable_cpu(c) < 0) {
		close_cpu(c);
		s->n_cpus--;
		return;
	}
	s->stats.taken_up++;
}

void sampler_update_cpus(struct sampler *s)
{
	struct cpu_set missing;

	close_gone(s);
	read_online(s, &missing);
	for (size_t i = 0; i < s->n_cpus; i++)
		missing.bits[s->cpus[i].cpu / 64] &= ~(1ULL << s->cpus[i].cpu % 64);
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		if (has_cpu(&missing, cpu))
			take_up(s, cpu);
}
