/*
 * What perf's records say about processes, applied to the table. They may speak
 * of processes never heard of (made on the spot), repeat what /proc told
 * already (no harm), and miss (process_distrust()).
 */
#include "daemon/proc/process-table.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"

#define PROCESS_MAX_THREADS 4096 /* whose names are kept, of one process */

void entry_forget_threads(struct process_entry *e)
{
	struct thread *t, *next;

	HASH_ITER (hh, e->threads, t, next) {
		HASH_DEL(e->threads, t);
		free(t);
	}
}

static struct process_entry *find_or_make(struct process_table *table, pid_t pid)
{
	struct process_entry *e = entry_find(table, pid);

	return e ? e : entry_make(table, pid);
}

void process_copy_comm(char ret[PROCESS_COMM_BYTES], const char *comm)
{
	size_t n = strnlen(comm, PROCESS_COMM_BYTES - 1);

	memcpy(ret, comm, n);
	memset(ret + n, 0, PROCESS_COMM_BYTES - n);
}

struct thread *entry_find_thread(struct process_entry *e, pid_t tid)
{
	struct thread *t;

	HASH_FIND_INT(e->threads, &tid, t);
	return t;
}

struct thread *entry_make_thread(struct process_entry *e, pid_t tid)
{
	struct thread *t;

	if (HASH_COUNT(e->threads) >= PROCESS_MAX_THREADS)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->tid = tid;
	HASH_ADD_INT(e->threads, tid, t);
	if (!t->hh.tbl) {
		free(t);
		return NULL;
	}
	return t;
}

/* Only the calling thread survives an exec, and it becomes the leader, even
 * when the leader's EXIT was seen just before. */
static void on_exec(struct process_table *table, struct process_entry *e, uint64_t time_ns)
{
	owner_end_life(table, &e->process, time_ns);
	entry_mark_alive(table, e);
	e->leader_exited = false;
	e->process.witness = e->process.pid;
	entry_forget_threads(e);
	mapping_clear(&e->process);
	module_forget_jit(table->modules, e->process.pid);
	entry_begin_life(table, e);
	e->process.maps_known = true;
	e->process.unit_known = false; /* systemd moves its children before they exec */
}

void process_on_comm(struct process_table *table, pid_t pid, pid_t tid, const char *comm, bool exec,
		     uint64_t time_ns)
{
	struct process_entry *e = find_or_make(table, pid);
	struct thread *t;

	if (!e)
		return;
	if (exec)
		on_exec(table, e, time_ns);
	if (exec || tid == pid) {
		process_copy_comm(e->process.comm, comm);
		return;
	}
	t = entry_find_thread(e, tid);
	if (!t)
		t = entry_make_thread(e, tid);
	if (t)
		process_copy_comm(t->comm, comm);
}

/* Whatever had this pid before is no more. */
static void reset(struct process_table *table, struct process_entry *e)
{
	pid_t pid = e->process.pid;

	entry_mark_alive(table, e);
	entry_forget_threads(e);
	mapping_clear(&e->process);
	module_forget_jit(table->modules, pid);
	free(e->process.unit);
	e->leader_exited = false;
	e->process = (struct process){.pid = pid, .witness = pid};
	entry_begin_life(table, e);
}

void process_on_fork(struct process_table *table, pid_t pid, pid_t parent, uint64_t time_ns)
{
	struct process_entry *e, *from;

	if (pid == parent)
		return;
	e = find_or_make(table, pid);
	if (!e)
		return;
	reset(table, e);
	e->process.parent = parent;
	e->process.forked_ns = time_ns;
	from = entry_find(table, parent);
	if (!from)
		return;
	e->process.watched = from->process.watched;
	owner_inherit(&e->process, &from->process, time_ns);
	memcpy(e->process.comm, from->process.comm, PROCESS_COMM_BYTES);
	/* The child may not live to be asked. What is a guess itself is not passed on:
	 * then the parent is asked, if the child's unit is wanted. */
	if (from->process.unit_known && from->process.unit)
		e->process.unit = strdup(from->process.unit);
	if (mapping_copy(&e->process, &from->process) == 0)
		e->process.maps_known = from->process.maps_known;
}

void process_on_exit(struct process_table *table, pid_t pid, pid_t tid, uint64_t time_ns)
{
	struct process_entry *e = entry_find(table, pid);
	struct thread *t;

	if (!e)
		return;
	t = entry_find_thread(e, tid);
	if (t) {
		HASH_DEL(e->threads, t);
		free(t);
	}
	if (tid == pid)
		e->leader_exited = true;
	if (e->leader_exited)
		entry_mark_exited(table, e, time_ns);
}

void process_on_mmap(struct process_table *table, const struct process_mmap *mmap)
{
	struct process_entry *e = find_or_make(table, mmap->pid);
	struct module *module = NULL;
	uint64_t end = mmap->start + mmap->bytes;
	int rc;

	if (!e || end <= mmap->start)
		return;
	if (mmap->executable)
		module = mapping_module(table->modules, mmap->pid, mmap->start, mmap->path,
					&mmap->key);
	if (module)
		rc = mapping_add(&e->process, module, mmap->start, end, mmap->file_offset);
	else
		rc = mapping_cut(&e->process, mmap->start, end);
	if (rc == -ENOSPC)
		table->refused++;
}
