/*
 * Whose a process is. /proc/PID says it of whatever has the pid now, which need
 * not be the process that was sampled: that one may have ended, and another
 * user's have come. So the answer counts only if the process that gave it began
 * when ours did; in doubt it is root's, and nobody else gets to see it.
 *
 * Once found it holds until an exec: a process that gives up root is root's
 * still, for what it has done before.
 *
 * Records come late, and /proc tells the present: by the time that a sample is
 * looked at, its process may have called exec, and it is the new program's owner
 * that is found (root's su becomes a user's shell). That shows when the record of
 * the exec comes and is older than the answer. The samples have been labelled by
 * then, so such lives are remembered: they are nobody's but root's.
 */
#include <string.h>

#include "daemon/proc/identity.h"
#include "daemon/proc/process-table.h"
#include "profd/base.h"

/* Start times have a resolution of 10 ms, and a fork's record is a little older. */
#define START_OFF_NS ((int64_t)(30 * NSEC_PER_MSEC))

#define OWNER_MAX_DISOWNED 8192

/* Lives mostly come in their order, so the place is near the end. When there are too
 * many, the older half goes, and all lives up to there with it. */
static void disown(struct process_table *table, uint32_t life)
{
	size_t at, half = OWNER_MAX_DISOWNED / 2;

	if (!table->disowned) {
		table->disowned = calloc(OWNER_MAX_DISOWNED, sizeof(*table->disowned));
		if (!table->disowned) {
			table->disowned_all = table->last_life;
			return;
		}
	}
	if (table->n_disowned == OWNER_MAX_DISOWNED) {
		table->disowned_all = max(table->disowned_all, table->disowned[half - 1]);
		memmove(table->disowned, table->disowned + half,
			(OWNER_MAX_DISOWNED - half) * sizeof(*table->disowned));
		table->n_disowned -= half;
	}
	for (at = table->n_disowned; at > 0 && table->disowned[at - 1] > life; at--)
		table->disowned[at] = table->disowned[at - 1];
	table->disowned[at] = life;
	table->n_disowned++;
}

static int by_life(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

bool process_is_disowned(const struct process_table *table, uint32_t life)
{
	return life <= table->disowned_all ||
	       (table->n_disowned > 0 &&
		bsearch(&life, table->disowned, table->n_disowned, sizeof(life), by_life));
}

void owner_end_life(struct process_table *table, const struct process *process, uint64_t time_ns)
{
	if (process->owner_known && process->owner != 0 && process->owner_read_ns > time_ns)
		disown(table, process->life);
}

void owner_inherit(struct process *child, const struct process *parent, uint64_t time_ns)
{
	if (!parent->owner_known || parent->owner_read_ns > time_ns)
		return;
	child->owner = parent->owner;
	child->owner_known = true;
	child->owner_read_ns = parent->owner_read_ns;
}

static int64_t boot_minus_mono_ns(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return ((int64_t)boot.tv_sec - mono.tv_sec) * (int64_t)NSEC_PER_SEC + boot.tv_nsec -
	       mono.tv_nsec;
}

static bool began_at(const struct process *process, uint64_t start_ticks)
{
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	int64_t off;

	if (process->start_ticks != 0)
		return process->start_ticks == start_ticks;
	if (process->forked_ns == 0)
		return false;
	off = (int64_t)(start_ticks * tick_ns) -
	      ((int64_t)process->forked_ns + boot_minus_mono_ns());
	return off > -START_OFF_NS && off < START_OFF_NS;
}

uid_t process_owner(struct process_table *table, struct process *process)
{
	uint64_t start_ticks;
	uid_t owner;

	if (process->owner_known)
		return process->owner;
	process->owner = 0;
	process->owner_known = true;
	process->owner_read_ns = clock_mono_ns();
	if (!entry_is_there(process->pid) ||
	    process_read_owner(table->keeper, process->pid, &owner) < 0 ||
	    process_read_start(table->keeper, process->pid, &start_ticks) < 0 ||
	    !began_at(process, start_ticks))
		return 0;
	process->owner_read_ns = clock_mono_ns();
	process->start_ticks = start_ticks;
	process->owner = owner;
	return owner;
}
