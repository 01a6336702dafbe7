#include "daemon/keeper/machine.h"

#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"

static const struct loss {
	unsigned cap;
	const char *name, *lost;
} losses[] = {
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "other users' programs have no names and no heaps"},
	{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH",
	 "files in closed directories have no names, tracepoints are not found"},
	{CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE",
	 "files are opened by path, and clients that cannot reach the socket are not found"},
	{CAP_IPC_LOCK, "CAP_IPC_LOCK", "ring buffers are smaller, so that bursts lose samples"},
};

static int read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	int n = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

static bool is_hidden(void)
{
	char line[1024];
	bool hidden = false;
	FILE *f = fopen("/proc/self/mounts", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " /proc proc "))
			hidden = strstr(line, "hidepid=") && !strstr(line, "hidepid=off") &&
				 !strstr(line, "hidepid=0");
	if (f)
		fclose(f);
	return hidden;
}

void machine_look(uint64_t capabilities, struct machine *ret_machine)
{
	*ret_machine = (struct machine){
		.capabilities = capabilities,
		.perf_paranoid = read_number("/proc/sys/kernel/perf_event_paranoid"),
		.kptr_restrict = read_number("/proc/sys/kernel/kptr_restrict"),
		.ptrace_scope = read_number("/proc/sys/kernel/yama/ptrace_scope"),
		.tracefs = access("/sys/kernel/tracing/events", F_OK) == 0 ||
			   access("/sys/kernel/debug/tracing/events", F_OK) == 0,
		.hidden = is_hidden(),
	};
}

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n + 1 >= t->left) { /* whole lines only */
		*t->at = '\0';
		t->left = 0;
		return;
	}
	t->at += n;
	t->left -= (size_t)n;
	*t->at++ = '\n';
	*t->at = '\0';
	t->left--;
}

static bool has(const struct machine *m, unsigned cap)
{
	return m->capabilities >> cap & 1;
}

void machine_describe(const struct machine *m, char *ret, size_t size)
{
	struct text t = {ret, size};

	ret[0] = '\0';
	if (m->perf_paranoid < 0)
		add(&t, "this kernel has no perf events: no CPU profiles");
	else if (!has(m, CAP_PERFMON) && m->perf_paranoid >= 0)
		add(&t, "CAP_PERFMON is missing and kernel.perf_event_paranoid is %d: %s",
		    m->perf_paranoid,
		    m->perf_paranoid > 0 ? "no CPU profiles" : "no waits (off-CPU profiles)");
	if (m->kptr_restrict > 1 || (m->kptr_restrict == 1 && !has(m, CAP_SYSLOG)) ||
	    (m->kptr_restrict <= 0 && m->perf_paranoid > 1 && !has(m, CAP_SYSLOG)))
		add(&t, "%skernel.kptr_restrict is %d: kernel functions have no names",
		    has(m, CAP_SYSLOG) ? "" : "CAP_SYSLOG is missing and ", m->kptr_restrict);
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++)
		if (!has(m, losses[i].cap))
			add(&t, "%s is missing: %s", losses[i].name, losses[i].lost);
	if (m->ptrace_scope > 2)
		add(&t,
		    "kernel.yama.ptrace_scope is %d: no stacks of threads that waited before "
		    "anybody looked",
		    m->ptrace_scope);
	if (!m->tracefs)
		add(&t, "tracefs is not mounted: no tracepoints, and off-CPU profiles cost more");
	if (m->hidden)
		add(&t, "/proc is mounted with hidepid: programs that run already are not found");
}
