/*
 * An event is permitted field by field: what is allowed is copied into an empty
 * attribute, and whatever differs then is not allowed. So what a newer kernel invents
 * is refused until somebody has thought about it.
 *
 * Texts of /proc that are looked at here are the kernel's: numbers behind words of
 * its own. What a process could write into them (its name, in `status`) comes
 * escaped, on a line of its own.
 */
#include "daemon/keeper/permit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "profd/base.h"
#include "profd/limits.h"

#define MAX_FREQUENCY_HZ 50000
#define TEXT_BYTES	 8192

#define SAMPLE_TYPES                                                                               \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |                   \
	 PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |   \
	 PERF_SAMPLE_STACK_USER)
#define READ_FORMATS (PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_LOST)

/* ---- events */

/* A machine with two kinds of cores has a type of events for each. Other numbers
 * from here on are probes, and counters that are not a CPU's. */
static bool is_core_type(uint32_t type)
{
	static const char *const cores[] = {"cpu", "cpu_core", "cpu_atom"};
	char path[64];
	unsigned number;
	FILE *f;
	bool is = false;

	for (size_t i = 0; !is && i < ARRAY_SIZE(cores); i++) {
		snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", cores[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		is = fscanf(f, "%u", &number) == 1 && number == type;
		fclose(f);
	}
	return is;
}

static bool is_type_allowed(uint32_t type)
{
	switch ((enum perf_type_id)type) {
	case PERF_TYPE_HARDWARE:
	case PERF_TYPE_SOFTWARE:
	case PERF_TYPE_TRACEPOINT:
	case PERF_TYPE_HW_CACHE:
	case PERF_TYPE_RAW:
		return true;
	case PERF_TYPE_BREAKPOINT:
		return false;
	case PERF_TYPE_MAX:
		break;
	}
	return type >= PERF_TYPE_MAX && is_core_type(type);
}

/* More bits for what to count, on hardware only: elsewhere these fields are addresses. */
static bool has_more_config(uint32_t type)
{
	return type == PERF_TYPE_RAW || type == PERF_TYPE_HARDWARE || type >= PERF_TYPE_MAX;
}

static void copy_allowed(const struct perf_event_attr *a, struct perf_event_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	ret->type = a->type;
	ret->config = a->config;
	if (has_more_config(a->type)) {
		ret->config1 = a->config1;
		ret->config2 = a->config2;
	}
	ret->sample_period = a->sample_period;
	ret->sample_type = a->sample_type & SAMPLE_TYPES;
	ret->read_format = a->read_format & READ_FORMATS;
	ret->sample_regs_user = a->sample_regs_user;
	ret->sample_stack_user = a->sample_stack_user;
	ret->wakeup_watermark = a->wakeup_watermark;
	ret->clockid = a->use_clockid ? CLOCK_MONOTONIC : 0;
	ret->disabled = a->disabled;
	ret->pinned = a->pinned;
	ret->exclude_user = a->exclude_user;
	ret->exclude_kernel = a->exclude_kernel;
	ret->exclude_hv = a->exclude_hv;
	ret->exclude_idle = a->exclude_idle;
	ret->exclude_host = a->exclude_host;
	ret->exclude_guest = a->exclude_guest;
	ret->exclude_callchain_kernel = a->exclude_callchain_kernel;
	ret->exclude_callchain_user = a->exclude_callchain_user;
	ret->mmap = a->mmap;
	ret->mmap2 = a->mmap2;
	ret->build_id = a->build_id;
	ret->comm = a->comm;
	ret->comm_exec = a->comm_exec;
	ret->task = a->task;
	ret->context_switch = a->context_switch;
	ret->freq = a->freq;
	ret->precise_ip = a->precise_ip;
	ret->sample_id_all = a->sample_id_all;
	ret->use_clockid = a->use_clockid;
	ret->watermark = a->watermark;
}

int permit_event(const struct perf_event_attr *attr, pid_t pid, int cpu, pid_t engine)
{
	struct perf_event_attr allowed;

	if (!is_type_allowed(attr->type))
		return -EPERM;
	copy_allowed(attr, &allowed);
	if (memcmp(&allowed, attr, sizeof(allowed)) != 0)
		return -EPERM;
	if (attr->freq && attr->sample_freq > MAX_FREQUENCY_HZ)
		return -EPERM;
	/* of one's own process only whether there is such an event */
	if (pid == engine && engine > 0)
		return attr->disabled && attr->sample_type == 0 ? 0 : -EPERM;
	return pid == -1 && cpu >= 0 ? 0 : -EPERM;
}

int permit_ring(int fd, uint64_t bytes)
{
	static const char name[] = "anon_inode:[perf_event]";
	char link[64], is[sizeof(name)];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (bytes < page || bytes > PERMIT_RING_BYTES || (bytes & (bytes - 1)))
		return -EPERM;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, is, sizeof(is)) != sizeof(name) - 1 ||
	    memcmp(is, name, sizeof(name) - 1) != 0)
		return -EPERM;
	return 0;
}

/* ---- files of /proc */

int permit_open(enum keeper_file file)
{
	switch (file) {
	case KEEPER_MAPS:
	case KEEPER_SMAPS:
	case KEEPER_SMAPS_ROLLUP:
	case KEEPER_TASK:
	case KEEPER_STATUS: /* whose it is says who may look into its process */
		return 0;
	case KEEPER_STAT:
	case KEEPER_STATM:
	case KEEPER_CGROUP:
	case KEEPER_LIMITS:
	case KEEPER_ENVIRON:
		break;
	}
	return -EPERM;
}

/* Small ones, that take nobody's lock but the kernel's own for a moment. */
int permit_read(enum keeper_file file)
{
	switch (file) {
	case KEEPER_STAT:
	case KEEPER_STATM:
	case KEEPER_STATUS:
	case KEEPER_CGROUP:
	case KEEPER_LIMITS:
	case KEEPER_ENVIRON:
		return 0;
	case KEEPER_MAPS:
	case KEEPER_SMAPS:
	case KEEPER_SMAPS_ROLLUP:
	case KEEPER_TASK:
		break;
	}
	return -EPERM;
}

/* The last number of a line. */
static bool parse_last(const char *text, const char *key, long *ret)
{
	const char *line = strstr(text, key), *end;
	char *next;
	long value = -1, v;

	if (!line)
		return false;
	line += strlen(key);
	for (end = strchrnul(line, '\n'); line < end; line = next) {
		v = strtol(line, &next, 10);
		if (next == line || next > end)
			break;
		value = v;
	}
	*ret = value;
	return value > 0;
}

int permit_perf_map(struct keeper *keeper, pid_t pid, pid_t inner_pid, uid_t uid,
		    uint64_t max_bytes)
{
	char text[TEXT_BYTES];
	ssize_t n = keeper_read_file(keeper, pid, KEEPER_STATUS, text, sizeof(text) - 1);
	unsigned real, effective, saved;
	const char *uids;
	long inner;

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	uids = strstr(text, "\nUid:");
	if (!uids || sscanf(uids, "\nUid: %u %u %u", &real, &effective, &saved) != 3 ||
	    !parse_last(text, "\nNSpid:", &inner))
		return -EPERM;
	/* of one that has changed who it is, nobody's file but root's */
	if (real != effective || real != saved)
		real = 0;
	return uid == real && inner_pid == inner && max_bytes <= PROFD_MAX_PERF_MAP_BYTES ? 0
											  : -EPERM;
}

/* A thread that waits: the last but one word is its stack pointer. */
int permit_stack(struct keeper *keeper, pid_t pid, pid_t tid, uint64_t sp)
{
	unsigned long long is;
	const char *pc, *at;
	char text[256];
	ssize_t n =
		keeper_read_thread(keeper, pid, tid, KEEPER_THREAD_SYSCALL, text, sizeof(text) - 1);

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	pc = strrchr(text, ' ');
	at = pc ? memrchr(text, ' ', (size_t)(pc - text)) : NULL;
	if (!at || sscanf(at, " 0x%llx", &is) != 1 || is != sp)
		return -EAGAIN;
	return 0;
}
