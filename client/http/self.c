#include "client/http/self.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "profd/base.h"

static void put(FILE *to, const char *name, const char *type, const char *help, double value)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

static void put_memory(FILE *to)
{
	unsigned long long total = 0, resident = 0;
	double page = (double)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");
	int n = f ? fscanf(f, "%llu %llu", &total, &resident) : 0;

	if (f)
		fclose(f);
	if (n != 2)
		return;
	put(to, "process_resident_memory_bytes", "gauge", "Resident memory of profd-http.",
	    (double)resident * page);
	put(to, "process_virtual_memory_bytes", "gauge", "Address space of profd-http.",
	    (double)total * page);
}

static void put_descriptors(FILE *to)
{
	const struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	double n = 0;

	if (dir) {
		while ((entry = readdir(dir)))
			n += entry->d_name[0] != '.';
		closedir(dir);
		put(to, "process_open_fds", "gauge", "Open descriptors of profd-http.",
		    n - 1); /* all but the directory's own */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		put(to, "process_max_fds", "gauge", "Descriptors that profd-http may have open.",
		    (double)limit.rlim_cur);
}

void self_put_metrics(FILE *to, int64_t start_unix_ns)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	put(to, "process_cpu_seconds_total", "counter", "CPU time of profd-http.",
	    (double)cpu.tv_sec + (double)cpu.tv_nsec / NSEC_PER_SEC);
	put(to, "process_start_time_seconds", "gauge", "When profd-http began, since 1970.",
	    (double)start_unix_ns / NSEC_PER_SEC);
	put_memory(to);
	put_descriptors(to);
}
