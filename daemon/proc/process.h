/*
 * The process table: who was running what, at the time that the records being
 * handled speak of. Fed by perf's COMM, MMAP2, FORK and EXIT records and, for
 * processes that were there before, by /proc. A process that has exited stays
 * until the records that may still speak of it have been handled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/module.h"

#define PROCESS_COMM_BYTES 16

/* address - start + file_offset is an offset in the module's terms, of every
 * kind of module: where offsets are run-time addresses, file_offset is start. */
struct process_map {
	uint64_t start, end, file_offset;
	struct module *module; /* never NULL */
};

struct process {
	pid_t pid;
	pid_t parent;  /* whose fork it came from; 0: not known */
	pid_t witness; /* a thread whose /proc speaks for it: the main one's, while that lives */
	uint64_t start_ticks; /* /proc/PID/stat field 22; 0: not known */
	uint64_t forked_ns;   /* CLOCK_MONOTONIC; 0: not known */
	/* A number that no other run of a program has, be it by another process with the
	 * pid or by this one before it called exec. */
	uint32_t life;
	uid_t owner; /* as process_owner() has found it */
	bool owner_known;
	uint64_t owner_read_ns; /* when */
	char comm[PROCESS_COMM_BYTES];
	char *unit; /* systemd unit, or container id; NULL: neither, or not known */
	bool unit_known;
	bool maps_known;    /* /proc or an exec has told */
	bool watched;	    /* belongs to a tree that is watched: passed on over fork */
	uint64_t exited_ns; /* 0: alive */

	struct process_map *maps; /* executable mappings, by start, disjoint */
	size_t n_maps, maps_room;
};

struct process_table;

int process_table_new(struct keeper *keeper, struct module_table *modules,
		      struct process_table **ret_table);
void process_table_free(struct process_table *table);

/* What the records say. @time_ns is the record's. Unknown pids are made. A fork
 * with @pid the same as @parent is a new thread. */
void process_on_comm(struct process_table *table, pid_t pid, pid_t tid, const char *comm, bool exec,
		     uint64_t time_ns);
void process_on_fork(struct process_table *table, pid_t pid, pid_t parent, uint64_t time_ns);
void process_on_exit(struct process_table *table, pid_t pid, pid_t tid, uint64_t time_ns);

struct process_mmap {
	pid_t pid;
	uint64_t start, bytes, file_offset;
	const char *path;
	struct module_key key;
	bool executable;
};
void process_on_mmap(struct process_table *table, const struct process_mmap *mmap);

/* The process, read from /proc if it is new. NULL: no such process now or
 * lately, or the table is full. */
struct process *process_get(struct process_table *table, pid_t pid);
struct process *process_peek(struct process_table *table, pid_t pid); /* only if known */

/* The thread's own comm if it has one of its own, else the process's; "" when
 * the process is not known. Holds until the table changes. */
const char *process_thread_name(struct process_table *table, pid_t pid, pid_t tid);

/* "nginx.service", a container id, or NULL; read on first use. */
const char *process_unit(struct process_table *table, struct process *process);

/*
 * Whose data the process's is: the user of all its credentials; root if they
 * differ (a setuid program is not its caller's), if it has made itself, or the
 * kernel has made it, undumpable, or if it is not known. Found on first use, and
 * again after an exec; it is the owner of the time, not of now.
 */
uid_t process_owner(struct process_table *table, struct process *process);
/* That was not so: @life had ended by an exec before its owner was asked for. All
 * records up to now have to have been told. */
bool process_is_disowned(const struct process_table *table, uint32_t life);

/* The mapping that holds @address, or NULL. */
const struct process_map *process_find_map(const struct process *process, uint64_t address);

/* The module behind @map, its file opened on first use through the keeper. It
 * may turn out to be one that is known already: then @map and the process's
 * other mappings lead to that one from now on. A file that cannot be shown to
 * be the one that was mapped stays unopened (-ESTALE in module.error). */
struct module *process_open_module(struct process_table *table, struct process *process,
				   const struct process_map *map);

/* Reads all of /proc: done once at start, so that no record meets an unknown
 * process. Returns the number of processes, or -errno. */
int process_scan(struct process_table *table);

/* Lets go of processes that exited before @time_ns. */
void process_reap(struct process_table *table, uint64_t time_ns);

/* Records were lost: what is known of the mappings may be out of date, so every
 * process is read from /proc again when it is next asked for, and those that
 * are no more are let go. */
void process_distrust(struct process_table *table);

/* Names, for module_sweep(), the modules that are mapped somewhere. */
void process_keep_modules(const struct process_table *table);

size_t process_count(const struct process_table *table);
/* Processes and mappings beyond PROFD_MAX_PROCESSES and PROFD_MAX_MAPPINGS. */
uint64_t process_table_refused(const struct process_table *table);

/* /proc/PID/stat's start time, and resident bytes; for identity and reckoning.
 * Return 0 or -errno. */
int process_read_identity(struct keeper *keeper, pid_t pid, uint64_t *ret_start_ticks,
			  char ret_comm[PROCESS_COMM_BYTES]);
int process_read_start(struct keeper *keeper, pid_t pid, uint64_t *ret_ticks);
int process_read_rss(struct keeper *keeper, pid_t pid, uint64_t *ret_bytes);
int process_read_comm(struct keeper *keeper, pid_t pid, char ret[PROCESS_COMM_BYTES]);
/* A process whose real, effective and saved uid differ counts as root's. */
int process_read_uid(struct keeper *keeper, pid_t pid, uid_t *ret_uid);
/* Whether a filter of system calls may end it for one that it does not make itself. */
int process_read_filtered(struct keeper *keeper, pid_t pid, bool *ret_filtered);
/* As process_owner() finds it, of whatever process has the pid now. */
int process_read_owner(struct keeper *keeper, pid_t pid, uid_t *ret_owner);
/* The pid in the process's own namespace. */
int process_read_inner_pid(struct keeper *keeper, pid_t pid, pid_t *ret_pid);
int process_read_setuid(struct keeper *keeper, pid_t pid,
			bool *ret_setuid); /* runs as another than its caller */
int process_read_unit(struct keeper *keeper, pid_t pid, char **ret_unit);
