/*
 * Who there is. The table follows perf's records, which come in order of time,
 * some moments late; /proc tells the present. The two are joined by one rule:
 * /proc is read for a process only while nothing is known of it, and records
 * that come later are applied on top, although /proc may have been ahead of
 * them. Applying them twice does no harm: a fork replaces, an exec clears, a
 * mapping covers what was there.
 *
 * The end of a process. EXIT records come one a thread. The process is over
 * with its last thread, which need not be the first thread: a main() that
 * called pthread_exit() leaves a process behind that has lost its leader. So
 * from the leader's EXIT on, every EXIT is taken for the end, and process_reap()
 * looks into /proc before it lets go: if threads are left, the process lives.
 *
 * Most processes are over before anybody looks at a sample of theirs. To ask for
 * /proc may be a request to another process and an answer, to ask whether there is
 * such a pid never is: so that comes first, and nothing is asked for a process
 * that no sample speaks of.
 */
#include "daemon/proc/process-table.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "daemon/proc/identity.h"
#include "daemon/proc/pids.h"
#include "profd/base.h"
#include "profd/limits.h"

/* How far up the unit of a process that has ended is looked for. */
#define UNIT_ANCESTORS 8
/* How long an exec may have gone unheard when records are found to be lost. */
#define LOST_AFTER_NS  (5 * NSEC_PER_SEC)

int process_table_new(struct keeper *keeper, struct module_table *modules,
		      struct process_table **ret_table)
{
	struct process_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->keeper = keeper;
	table->modules = modules;
	*ret_table = table;
	return 0;
}

void entry_mark_alive(struct process_table *table, struct process_entry *e)
{
	if (e->process.exited_ns != 0)
		DL_DELETE(table->exited, e);
	e->process.exited_ns = 0;
}

void entry_mark_exited(struct process_table *table, struct process_entry *e, uint64_t time_ns)
{
	entry_mark_alive(table, e);
	e->process.exited_ns = max(time_ns, (uint64_t)1);
	DL_APPEND(table->exited, e);
}

static void drop_entry(struct process_table *table, struct process_entry *e)
{
	entry_mark_alive(table, e);
	HASH_DEL(table->processes, e);
	entry_forget_threads(e);
	mapping_clear(&e->process);
	free(e->process.unit);
	free(e);
}

void process_table_free(struct process_table *table)
{
	struct process_entry *e, *next;

	if (!table)
		return;
	HASH_ITER (hh, table->processes, e, next)
		drop_entry(table, e);
	free(table->disowned);
	free(table);
}

struct process_entry *entry_find(struct process_table *table, pid_t pid)
{
	struct process_entry *e;

	HASH_FIND_INT(table->processes, &pid, e);
	return e;
}

struct process *process_peek(struct process_table *table, pid_t pid)
{
	struct process_entry *e = entry_find(table, pid);

	return e ? &e->process : NULL;
}

void entry_begin_life(struct process_table *table, struct process_entry *e)
{
	table->last_life += table->last_life == UINT32_MAX ? 2 : 1; /* 0 is nobody's */
	e->process.life = table->last_life;
	e->process.owner_known = false;
}

/* A full table first gives up those that have exited. */
struct process_entry *entry_make(struct process_table *table, pid_t pid)
{
	struct process_entry *e;

	if (pid <= 0) /* no task, or one of another pid namespace */
		return NULL;
	if (HASH_COUNT(table->processes) >= PROFD_MAX_PROCESSES) {
		if (!table->exited) {
			table->refused++;
			table->distrusted = true; /* some may have gone unheard */
			return NULL;
		}
		drop_entry(table, table->exited);
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->process.pid = e->process.witness = pid;
	entry_begin_life(table, e);
	HASH_ADD_INT(table->processes, process.pid, e);
	if (!e->hh.tbl) {
		free(e);
		return NULL;
	}
	return e;
}

/* ---- /proc */

/* Another user's process may not be signalled, but is there all the same. */
bool entry_is_there(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

static bool has_ended(const struct identity_stat *st)
{
	return st->state == 'Z' || st->state == 'X';
}

/* A thread of @pid that lives, or @pid. */
static pid_t find_live_thread(struct process_table *table, pid_t pid)
{
	_cleanup_close_ int fd = keeper_open_file(table->keeper, pid, KEEPER_TASK);
	struct identity_stat st;
	struct dirent *entry;
	pid_t found = pid;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return pid;
	(void)take_fd(&fd); /* the directory's now */
	while (found == pid && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0 && tid != pid && identity_read_stat(table->keeper, tid, &st) == 0 &&
		    !has_ended(&st))
			found = tid;
	}
	closedir(dir);
	return found;
}

/* A main thread that has ended before the others is a zombie: it has a name
 * still, but neither mappings nor a root. The others have. */
static void choose_witness(struct process_table *table, struct process *process,
			   const struct identity_stat *leader)
{
	process->witness = has_ended(leader) ? find_live_thread(table, process->pid) : process->pid;
}

/* The start time before and after shows that no other process came to the pid
 * while its mappings were read. */
static int load(struct process_table *table, struct process_entry *e)
{
	struct identity_stat before, after;
	int rc;

	rc = identity_read_stat(table->keeper, e->process.pid, &before);
	if (rc < 0)
		return rc;
	if (has_ended(&before) && before.threads <= 1)
		return -ESRCH;
	choose_witness(table, &e->process, &before);
	rc = mapping_read(table, &e->process);
	if (rc == -ENOENT || rc == -ESRCH || rc == -ENOMEM)
		return rc;
	/* Any other failure (-EACCES) is for good: a name is better than nothing. */
	rc = identity_read_stat(table->keeper, e->process.pid, &after);
	if (rc < 0)
		return rc;
	if (before.start_ticks != after.start_ticks)
		return -ESRCH;
	memcpy(e->process.comm, after.comm, PROCESS_COMM_BYTES);
	e->process.start_ticks = after.start_ticks;
	return 0;
}

struct process *process_get(struct process_table *table, pid_t pid)
{
	struct process_entry *e = entry_find(table, pid);
	bool known = e;

	if (e && (e->process.maps_known || e->process.exited_ns != 0))
		return &e->process;
	if (!e)
		e = entry_make(table, pid);
	if (!e)
		return NULL;
	if (load(table, e) < 0 && !known) {
		drop_entry(table, e);
		return NULL;
	}
	if (known) /* an exec, or another process with the pid, may have gone unheard */
		entry_begin_life(table, e);
	e->process.maps_known = true;
	return &e->process;
}

static int read_thread_comm(struct process_table *table, pid_t pid, pid_t tid,
			    char ret[PROCESS_COMM_BYTES])
{
	char comm[PROCESS_COMM_BYTES + 1] = {0};
	ssize_t n = keeper_read_thread(table->keeper, pid, tid, KEEPER_THREAD_COMM, comm,
				       PROCESS_COMM_BYTES);

	if (n < 0)
		return (int)n;
	if (n > 0 && comm[n - 1] == '\n')
		comm[n - 1] = '\0';
	process_copy_comm(ret, comm);
	return 0;
}

const char *process_thread_name(struct process_table *table, pid_t pid, pid_t tid)
{
	struct process_entry *e = entry_find(table, pid);
	struct thread *t;

	if (!e)
		return "";
	if (tid == pid)
		return e->process.comm;
	t = entry_find_thread(e, tid);
	if (!t) {
		t = entry_make_thread(e, tid);
		if (t && e->process.exited_ns == 0)
			(void)read_thread_comm(table, pid, tid, t->comm);
	}
	return t && t->comm[0] ? t->comm : e->process.comm;
}

/* Once what has the pid now has said it, @process's unit holds until an exec. Returns
 * 0, or -ESRCH: it has ended; then it keeps what it has from its parent. */
static int find_unit(struct process_table *table, struct process *process)
{
	char *unit = NULL;
	int rc = -ESRCH;

	if (process->unit_known)
		return 0;
	if (process->exited_ns == 0 && entry_is_there(process->pid))
		rc = process_read_unit(table->keeper, process->pid, &unit);
	if (rc < 0 && (rc != -ENOENT || !entry_is_there(process->pid)))
		return -ESRCH;
	free(process->unit);
	process->unit = unit;
	process->unit_known = true;
	return 0;
}

/* The unit of whoever started a process that has ended before it was asked for
 * its own, which mostly is the same. Not so what systemd itself has started. */
static char *unit_of_ancestors(struct process_table *table, const struct process *process)
{
	for (int i = 0; i < UNIT_ANCESTORS && process->parent > 1; i++) {
		struct process *parent = process_peek(table, process->parent);

		if (!parent)
			return NULL;
		if (find_unit(table, parent) == 0)
			return parent->unit && strcmp(parent->unit, "init.scope") != 0
				       ? strdup(parent->unit)
				       : NULL;
		process = parent;
	}
	return NULL;
}

const char *process_unit(struct process_table *table, struct process *process)
{
	if (find_unit(table, process) < 0) {
		process->unit_known = true;
		if (!process->unit) /* else it is the parent's */
			process->unit = unit_of_ancestors(table, process);
	}
	return process->unit;
}

static void on_scanned(pid_t pid, void *userdata)
{
	(void)process_get(userdata, pid);
}

int process_scan(struct process_table *table)
{
	int r = process_each_pid(table->keeper, on_scanned, table);

	return r < 0 ? r : (int)process_count(table);
}

/* ---- the end */

/* Processes whose EXIT was lost. */
static void sweep(struct process_table *table, uint64_t time_ns)
{
	struct process_entry *e, *next;

	HASH_ITER (hh, table->processes, e, next)
		if (e->process.exited_ns == 0 && !entry_is_there(e->process.pid))
			entry_mark_exited(table, e, time_ns);
	table->distrusted = false;
}

static bool has_threads_left(struct process_table *table, struct process_entry *e)
{
	struct identity_stat st;

	if (!entry_is_there(e->process.pid) ||
	    identity_read_stat(table->keeper, e->process.pid, &st) < 0 || st.threads <= 1 ||
	    (e->process.start_ticks != 0 && e->process.start_ticks != st.start_ticks))
		return false;
	choose_witness(table, &e->process, &st);
	return true;
}

void process_reap(struct process_table *table, uint64_t time_ns)
{
	while (table->exited && table->exited->process.exited_ns < time_ns) {
		if (has_threads_left(table, table->exited))
			entry_mark_alive(table, table->exited);
		else
			drop_entry(table, table->exited);
	}
	if (table->distrusted)
		sweep(table, time_ns);
}

void process_distrust(struct process_table *table)
{
	struct process_entry *e, *next;

	HASH_ITER (hh, table->processes, e, next) {
		owner_end_life(table, &e->process, clock_mono_ns() - LOST_AFTER_NS);
		e->process.maps_known = false;
	}
	table->distrusted = true;
}

size_t process_count(const struct process_table *table)
{
	return HASH_COUNT(table->processes);
}

uint64_t process_table_refused(const struct process_table *table)
{
	return table->refused;
}
