#include "daemon/control/losses.h"

#include <assert.h>
#include <time.h>

#include "profd/base.h"

static_assert(LOSS_N <= WINDOW_COUNTERS, "every loss has its counter in a window");

static const struct loss_info infos[LOSS_STACKS] = {
	[LOSS_RING] = {"cpu_samples_lost", "samples that the kernel had no room for",
		       "samples lost: the kernel had no room for them (of all processes)"},
	[LOSS_RECORDS] = {"cpu_records_lost",
			  "mappings and the like that the kernel had no room for",
			  "records of processes lost: mappings were read anew"},
	[LOSS_THROTTLED] = {"cpu_throttled", "times that the kernel slowed sampling down",
			    "times throttled by the kernel: nothing was sampled until its next "
			    "tick"},
	[LOSS_MALFORMED] = {"cpu_records_malformed", "perf records that did not parse",
			    "perf records did not parse"},
	[LOSS_ORPHANS] = {"cpu_samples_orphaned", "samples of tasks that had ended already",
			  "samples lost: of tasks that had ended already"},
	[LOSS_TAKEN_UP] = {"cpu_taken_up", "CPUs sampled anew after they had been off",
			   "times a CPU came back: up to 2 s of it were not sampled"},
	[LOSS_ASLEEP_MS] = {.comment = "ms that the machine was suspended: not in the duration"},
	[LOSS_RATE_CHANGES] = {.comment = "times the frequency was changed: each sample has the "
					  "weight that it was taken with"},
	[LOSS_LABELS] = {"labels_lost",
			 "CPU samples whose labels were not to be had any more",
			 "samples lack the labels of their program: it changed them too often, "
			 "or has too many threads"},
	/* `status` tells these by itself (report.c), also where no CPU time is sampled */
	[LOSS_PROCESSES] = {.comment = "processes or mappings left out: the tables are full"},
	[LOSS_MODULES] = {.comment = "files left out: the table of files is full"},
	[LOSS_PERF_MAPS] = {.comment = "perf-map files refused: not plain, not their process's "
				       "own, open to others, or too large"},
	[LOSS_SWITCHES] = {.comment = "switches lost: the kernel had no room for them: waits are "
				      "missing"},
	[LOSS_WAIT_ENDS] = {.comment = "waits cut short: their end is not known"},
	[LOSS_WAIT_THREADS] = {.comment = "waits left out: of threads beyond the limit"},
	[LOSS_WAITS] = {.comment = "waits under [lost]: too many different stacks"},
};

/* By how a walk of the stack ended; `status` has names of its own for them. */
static const struct loss_info stack_infos[UNWIND_END_N] = {
	[UNWIND_COPY] = {.comment = "stacks cut: deeper than what was copied of them"},
	[UNWIND_OTHER_STACK] = {.comment = "stacks cut: they go on on another stack, which is not "
					   "copied"},
	[UNWIND_DEPTH] = {.comment = "stacks cut: more frames than are kept"},
	[UNWIND_NO_REG] = {.comment = "stacks broken off: a register is not known"},
	[UNWIND_NO_MAP] = {.comment = "stacks broken off: an address in no mapping"},
	[UNWIND_NO_CFI] = {.comment = "stacks broken off: no call-frame information"},
	[UNWIND_BROKEN] = {.comment = "stacks broken off: the stack or its description is broken"},
	[UNWIND_WORK] = {.comment = "stacks cut: more work than one may make"},
};

const struct loss_info *loss_info(enum loss loss)
{
	return loss < LOSS_STACKS ? &infos[loss] : &stack_infos[loss - LOSS_STACKS];
}

/* Who is who, and what the stacks are of, is the same for both. */
static struct window_moment common_moment(const struct control_context *ctx,
					  const struct sampler_stats *cpu)
{
	struct window_moment m = {
		.unix_ns = clock_unix_ns(),
		.mono_ns = clock_mono_ns(),
	};

	m.counters[LOSS_RECORDS] = cpu->lost_records;
	m.counters[LOSS_PROCESSES] = process_table_refused(ctx->processes);
	m.counters[LOSS_MODULES] = module_table_refused(ctx->modules);
	m.counters[LOSS_PERF_MAPS] = module_table_perf_maps_refused(ctx->modules);
	/* the one clock goes on while the machine sleeps, and the other does not */
	m.counters[LOSS_ASLEEP_MS] = (clock_ns(CLOCK_BOOTTIME) - m.mono_ns) / NSEC_PER_MSEC;
	return m;
}

void losses_moment(const struct control_context *ctx, struct window_moment *ret_moment)
{
	const struct control_offcpu *o = &ctx->offcpu_counted;
	struct sampler_stats cpu = {0};
	struct unwind_stats unwind;
	struct window_moment m;

	if (ctx->sampler)
		sampler_stats(ctx->sampler, &cpu);
	m = common_moment(ctx, &cpu);
	m.counters[LOSS_RING] = cpu.lost;
	m.counters[LOSS_THROTTLED] = cpu.throttled;
	m.counters[LOSS_MALFORMED] = cpu.malformed;
	m.counters[LOSS_ORPHANS] = cpu.orphans;
	m.counters[LOSS_TAKEN_UP] = cpu.taken_up;
	m.counters[LOSS_LABELS] = ctx->counters.labels_lost;
	m.counters[LOSS_RATE_CHANGES] = ctx->counters.rate_changes;
	unwinder_stats(ctx->unwinder, &unwind);
	for (int i = 0; i < UNWIND_END_N; i++)
		m.counters[LOSS_STACKS + i] =
			i == UNWIND_COMPLETE ? 0 : unwind.ends[i] - o->ends[i] - o->looks[i];
	*ret_moment = m;
}

void losses_offcpu_moment(const struct control_context *ctx, struct window_moment *ret_moment)
{
	const struct control_offcpu *o = &ctx->offcpu_counted;
	struct sampler_stats cpu = {0};
	struct window_moment m;

	if (ctx->sampler)
		sampler_stats(ctx->sampler, &cpu);
	m = common_moment(ctx, &cpu);
	m.counters[LOSS_SWITCHES] = o->records_lost;
	m.counters[LOSS_WAIT_ENDS] = o->ends_lost;
	m.counters[LOSS_WAIT_THREADS] = o->threads_refused;
	m.counters[LOSS_WAITS] = o->waits_refused;
	for (int i = 0; i < UNWIND_END_N; i++)
		m.counters[LOSS_STACKS + i] = i == UNWIND_COMPLETE ? 0 : o->ends[i];
	*ret_moment = m;
}
