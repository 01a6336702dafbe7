/*
 * Letting modules go. Modules are held by mappings and by their ids, which
 * windows, heap clients and profiles under way have copied into places of their
 * own. Counting all these references would take a pair of calls wherever one is
 * made or dropped, and a miss would be a pointer to nothing; so, every now and
 * then, between two events of the loop, each holder is asked instead what it
 * holds (module_keep()), and module_sweep() frees what nobody has named.
 *
 * A program that has ended is often started again: what nobody holds is
 * therefore kept for a while, up to a number. But not for long, for an open
 * descriptor keeps a deleted file on its disk.
 *
 * What is never freed: the kernel, the vdso and the notes, which are few.
 */
#include "daemon/proc/module-table.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "profd/base.h"

/* Sweeping is then worth doing ahead of its time. */
#define CROWDED_MODULES (PROFD_MAX_MODULES / 4 * 3)

static bool is_permanent(const struct module *m)
{
	switch (m->kind) {
	case MODULE_FILE:
	case MODULE_JIT:
		return false;
	case MODULE_KERNEL:
	case MODULE_VDSO:
	case MODULE_NOTE:
		return true;
	}
	return true;
}

void module_keep(struct module *module)
{
	module->kept = true;
	if (module->alias_of)
		module->alias_of->kept = true;
}

void module_keep_id(struct module_table *table, uint32_t id)
{
	struct module *m = module_by_id(table, id);

	if (m)
		module_keep(m);
}

/* Nothing is worth waiting for with these: code without a file has no life
 * beyond its process, and an alias is no longer found by any name. */
static bool is_worthless(const struct module *m)
{
	return m->kind == MODULE_JIT || m->alias_of;
}

static bool is_idle(const struct module *m)
{
	return !m->kept && !is_permanent(m);
}

static int compare_stamps(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The latest stamp that is too old when there are more idle modules than may
 * stay. 0: there are not. */
static uint64_t latest_beyond_number(const struct module_table *table, size_t n_idle)
{
	_cleanup_free_ uint64_t *stamps = NULL;
	size_t n = 0;

	if (n_idle <= PROFD_MAX_IDLE_MODULES)
		return 0;
	stamps = calloc(n_idle, sizeof(*stamps));
	if (!stamps)
		return 0;
	for (size_t i = 0; i < table->n; i++)
		if (is_idle(table->modules[i]))
			stamps[n++] = table->modules[i]->used_ns;
	qsort(stamps, n, sizeof(*stamps), compare_stamps);
	return stamps[n - PROFD_MAX_IDLE_MODULES - 1];
}

/* What was used last at this time, or before, may go. */
static uint64_t latest_to_go(const struct module_table *table, uint64_t now_ns)
{
	const uint64_t stay_ns = PROFD_MODULE_IDLE_SECONDS * NSEC_PER_SEC;
	uint64_t by_age = now_ns > stay_ns ? now_ns - stay_ns : 0;
	size_t n_idle = 0;

	if (module_table_is_crowded(table))
		return now_ns;
	for (size_t i = 0; i < table->n; i++)
		n_idle += is_idle(table->modules[i]);
	return max(by_age, latest_beyond_number(table, n_idle));
}

static void drop_names(struct module_table *table)
{
	struct name *name, *next;

	HASH_ITER (hh, table->names, name, next) {
		if (!name->module->doomed)
			continue;
		HASH_DEL(table->names, name);
		free(name);
	}
}

static void drop_modules(struct module_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++) {
		if (table->modules[i]->doomed)
			module_free(table, table->modules[i]);
		else
			table->modules[n++] = table->modules[i];
	}
	table->freed += table->n - n;
	table->n = n;
}

void module_sweep(struct module_table *table, uint64_t now_ns)
{
	uint64_t latest = latest_to_go(table, now_ns);
	bool any = false;

	for (size_t i = 0; i < table->n; i++) {
		struct module *m = table->modules[i];

		if (m->kept)
			m->used_ns = now_ns;
		m->doomed = is_idle(m) && (is_worthless(m) || m->used_ns <= latest);
		m->kept = false;
		any |= m->doomed;
	}
	table->swept_ns = now_ns;
	if (!any)
		return;
	drop_names(table);
	drop_modules(table);
}

bool module_table_is_crowded(const struct module_table *table)
{
	struct rlimit limit;

	if (table->n >= CROWDED_MODULES)
		return true;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && table->open_fds >= limit.rlim_cur / 8 * 3;
}

uint64_t module_table_freed(const struct module_table *table)
{
	return table->freed;
}

size_t module_table_open(const struct module_table *table)
{
	return table->open_fds;
}
