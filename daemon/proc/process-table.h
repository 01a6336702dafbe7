/*
 * The process table from inside: shared by process.c (who there is), records.c
 * (what records say), owner.c (whose each is), mapping.c and opening.c (what each
 * has mapped), and by nobody else.
 */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "daemon/proc/process.h"

struct thread {
	UT_hash_handle hh;
	pid_t tid;
	char comm[PROCESS_COMM_BYTES]; /* "": as the process's */
};

struct process_entry {
	struct process process; /* first: the two are cast into one another */
	UT_hash_handle hh;
	struct thread *threads; /* those whose names were asked for or told */
	bool leader_exited;
	struct process_entry *prev, *next; /* of the exited, oldest first */
};

struct process_table {
	struct keeper *keeper;
	struct module_table *modules;
	struct process_entry *processes;
	struct process_entry *exited;
	uint64_t refused; /* processes and mappings */
	uint32_t last_life;
	uint32_t *disowned; /* lives, sorted: at most OWNER_MAX_DISOWNED */
	size_t n_disowned;
	uint32_t disowned_all; /* and all lives up to this one */
	bool distrusted;       /* since the last reap */
};

/* Whether there is a process with that pid, be it another one by now. Costs one system
 * call and no question to the keeper. */
bool entry_is_there(pid_t pid);

struct process_entry *entry_find(struct process_table *table, pid_t pid);
/* NULL: out of memory, or the table is full of the living (counted). */
struct process_entry *entry_make(struct process_table *table, pid_t pid);
/* owner.c: the process's life ended at @time_ns, by an exec or nobody knows how. */
void owner_end_life(struct process_table *table, const struct process *process, uint64_t time_ns);
/* A child that was forked at @time_ns has its parent's owner, if that is certain. */
void owner_inherit(struct process *child, const struct process *parent, uint64_t time_ns);

/* Another program runs from here on. */
void entry_begin_life(struct process_table *table, struct process_entry *e);
void entry_mark_alive(struct process_table *table, struct process_entry *e);
void entry_mark_exited(struct process_table *table, struct process_entry *e, uint64_t time_ns);

struct thread *entry_find_thread(struct process_entry *e, pid_t tid);
struct thread *entry_make_thread(struct process_entry *e, pid_t tid); /* NULL: as above */
void entry_forget_threads(struct process_entry *e);

void process_copy_comm(char ret[PROCESS_COMM_BYTES], const char *comm);

/* Unmaps start..end. Returns 0, -ENOMEM, or -ENOSPC beyond PROFD_MAX_MAPPINGS. */
int mapping_cut(struct process *process, uint64_t start, uint64_t end);
void mapping_clear(struct process *process);
int mapping_copy(struct process *to, const struct process *from);

/* The module that code mapped under @path belongs to; NULL: none that matters,
 * or the module table is full. */
struct module *mapping_module(struct module_table *modules, pid_t pid, uint64_t start,
			      const char *path, const struct module_key *key);

/* Maps a part of @module over whatever was there, as a record or /proc tells it; adjacent
 * code without a file is joined. Returns as mapping_cut(). */
int mapping_add(struct process *process, struct module *module, uint64_t start, uint64_t end,
		uint64_t file_offset);

/* Replaces the mappings by what /proc/PID/maps says now. Returns 0 or -errno;
 * on failure they stay as they were. */
int mapping_read(struct process_table *table, struct process *process);
