/*
 * Perf-maps: the files in which JIT compilers say what they named their code.
 *
 * The descriptor is taken when generated code is first seen running, and then
 * again for each snapshot, since the program may have replaced the file. After
 * its end the last one stays, so that programs that have gone have names, too.
 * That it is the same process, and not one that came to its pid, is shown by the
 * start time, read before and after.
 */
#include "daemon/proc/module-table.h"

#include <errno.h>

#include "daemon/proc/process.h"
#include "profd/base.h"

static void close_map(struct module_table *table, struct module *m)
{
	close(m->fd);
	m->fd = -1;
	table->n_perf_maps--;
}

static void make_room(struct module_table *table)
{
	struct module *oldest = NULL;

	if (table->n_perf_maps < PROFD_MAX_PERF_MAPS)
		return;
	for (size_t i = 0; i < table->n; i++) {
		struct module *m = table->modules[i];

		if (m->kind == MODULE_JIT && m->fd >= 0 &&
		    (!oldest || m->cfi_used < oldest->cfi_used))
			oldest = m;
	}
	if (oldest)
		close_map(table, oldest);
}

static int open_map(struct keeper *keeper, struct module *m, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	uint64_t before, after;
	pid_t inner_pid;
	uid_t uid;
	int r;

	r = process_read_start(keeper, m->pid, &before);
	if (r < 0 || (m->start_ticks != 0 && before != m->start_ticks))
		return -ESRCH;
	m->start_ticks = before;
	if (process_read_uid(keeper, m->pid, &uid) < 0 ||
	    process_read_inner_pid(keeper, m->pid, &inner_pid) < 0)
		return -ESRCH;
	fd = keeper_open_perf_map(keeper, m->pid, inner_pid, uid, PROFD_MAX_PERF_MAP_BYTES);
	if (fd < 0)
		return fd;
	r = process_read_start(keeper, m->pid, &after);
	if (r < 0 || after != before)
		return -ESRCH;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Counted once a process and reason. */
static void count_refusal(struct module_table *table, struct module *m, int error)
{
	if (error != -ENOENT && error != -ESRCH && error != m->error)
		table->perf_maps_refused++;
	m->error = error;
}

int module_open_perf_map(struct module_table *table, struct keeper *keeper, struct module *module)
{
	int fd, r;

	if (module->kind != MODULE_JIT)
		return -EINVAL;
	module->cfi_used = ++table->cfi_clock;
	r = open_map(keeper, module, &fd);
	if (r == -ESRCH && module->fd >= 0)
		return 0;
	if (module->fd >= 0)
		close_map(table, module);
	if (r < 0) {
		count_refusal(table, module, r);
		return r;
	}
	make_room(table);
	module->error = 0;
	module->fd = fd;
	table->n_perf_maps++;
	return 0;
}

uint64_t module_table_perf_maps_refused(const struct module_table *table)
{
	return table->perf_maps_refused;
}
