/*
 * unwind SECONDS COMMAND...: what unwinding costs. Samples the command as the daemon
 * does, keeps the registers and stack copies of its samples, stops it, and walks them
 * over and over, the caches warm. Prints the median of seven rounds; the least is what
 * an undisturbed machine would say. Needs to be root.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cpu/sampler.h"
#include "daemon/stack/unwind.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_SAMPLES 2000
#define ROUNDS	    7
#define SETTLE_NS   (20 * NSEC_PER_MSEC)

struct bench {
	struct keeper *keeper;
	struct module_table *modules;
	struct process_table *processes;
	struct unwinder *unwinder;
	struct sampler *sampler;
	pid_t pid;
	struct unwind_input inputs[MAX_SAMPLES];
	size_t n;
	struct frame frames[PROFD_MAX_USER_FRAMES];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void on_comm(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
		    void *userdata)
{
	struct bench *b = userdata;

	process_on_comm(b->processes, pid, tid, comm, exec, time_ns);
}

static void on_mmap(const struct process_mmap *m, uint64_t time_ns, void *userdata)
{
	struct bench *b = userdata;

	if (m->pid == b->pid)
		process_on_mmap(b->processes, m);
}

static void on_sample(const struct sampler_sample *s, void *userdata)
{
	struct bench *b = userdata;
	struct unwind_input *in = &b->inputs[b->n];
	uint8_t *copy;

	if (s->pid != b->pid || !s->has_user || s->stack_bytes == 0 || b->n == MAX_SAMPLES)
		return;
	copy = malloc(s->stack_bytes);
	in->process = process_get(b->processes, s->pid);
	if (!copy || !in->process) {
		free(copy);
		return;
	}
	memcpy(copy, s->stack, s->stack_bytes);
	memcpy(in->regs, s->regs, sizeof(in->regs));
	in->stack = copy;
	in->stack_bytes = s->stack_bytes;
	b->n++;
}

static void capture(struct bench *b, double seconds)
{
	static const struct sampler_handlers handlers = {
		.on_sample = on_sample, .on_comm = on_comm, .on_mmap = on_mmap};
	uint64_t end = now_ns() + (uint64_t)(seconds * (double)NSEC_PER_SEC);

	while (now_ns() < end && b->n < MAX_SAMPLES) {
		usleep(50000);
		sampler_drain(b->sampler, now_ns() - SETTLE_NS, &handlers, b);
	}
}

struct round {
	uint64_t ns, frames, complete;
};

static struct round walk_all(struct bench *b)
{
	struct round round = {.ns = now_ns()};
	enum unwind_end end;

	for (size_t i = 0; i < b->n; i++) {
		round.frames += unwinder_walk(b->unwinder, &b->inputs[i], b->frames,
					      ARRAY_SIZE(b->frames), &end);
		round.complete += end == UNWIND_COMPLETE;
	}
	round.ns = now_ns() - round.ns;
	return round;
}

static int by_ns(const void *a, const void *b)
{
	const struct round *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

static void replay(struct bench *b, const char *name)
{
	struct round rounds[ROUNDS], cold = walk_all(b);
	double n = (double)b->n, frames;
	struct unwind_stats stats;
	uint64_t bytes = 0;

	for (int i = 0; i < ROUNDS; i++)
		rounds[i] = walk_all(b);
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_ns);
	for (size_t i = 0; i < b->n; i++)
		bytes += b->inputs[i].stack_bytes;
	unwinder_stats(b->unwinder, &stats);
	frames = (double)rounds[0].frames;
	printf("%-14s %5zu samples, %5.1f frames, %4.1f KiB of stack, %5.1f%% complete: "
	       "%6.0f ns a sample (least %.0f, cold %.0f), %5.1f ns a frame, %.0f ns of 10 "
	       "frames\n",
	       name, b->n, frames / n, (double)bytes / n / 1024,
	       100 * (double)rounds[0].complete / n, (double)rounds[ROUNDS / 2].ns / n,
	       (double)rounds[0].ns / n, (double)cold.ns / n,
	       (double)rounds[ROUNDS / 2].ns / frames, 10 * (double)rounds[ROUNDS / 2].ns / frames);
	printf("%-14s steps: %llu by row, %llu by libunwind, %llu by frame pointer, %llu by "
	       "search\n",
	       "", (unsigned long long)stats.steps_row, (unsigned long long)stats.steps_libunwind,
	       (unsigned long long)stats.steps_frame_pointer,
	       (unsigned long long)stats.steps_search);
}

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static int make_rooms(struct bench *b, char *why, size_t why_size)
{
	const struct sampler_config config = {.event = "cpu-clock", .frequency_hz = 999};
	int r;

	snprintf(why, why_size, "out of memory");
	if ((r = keeper_new_local(&b->keeper)) < 0 || (r = module_table_new(&b->modules)) < 0 ||
	    (r = process_table_new(b->keeper, b->modules, &b->processes)) < 0 ||
	    (r = unwinder_new(b->processes, b->modules, &b->unwinder)) < 0)
		return r;
	return sampler_new(b->keeper, &config, &b->sampler, why, why_size);
}

int main(int argc, char **argv)
{
	static struct bench b;
	const char *slash;
	char why[256];

	if (argc < 3) {
		fprintf(stderr, "usage: unwind SECONDS COMMAND...\n");
		return 2;
	}
	if (make_rooms(&b, why, sizeof(why)) < 0) {
		fprintf(stderr, "unwind: %s\n", why);
		return 1;
	}
	b.pid = start(argv + 2);
	capture(&b, atof(argv[1]));
	kill(b.pid, SIGSTOP);
	slash = strrchr(argv[2], '/');
	if (b.n > 0)
		replay(&b, slash ? slash + 1 : argv[2]);
	kill(b.pid, SIGKILL);
	waitpid(b.pid, NULL, 0);
	for (size_t i = 0; i < b.n; i++)
		free((void *)b.inputs[i].stack);
	sampler_free(b.sampler);
	unwinder_free(b.unwinder);
	process_table_free(b.processes);
	module_table_free(b.modules);
	keeper_free(b.keeper);
	return b.n > 0 ? 0 : 1;
}
