/*
 * The privileged things that the engine needs, as a handful of verbs. This
 * header is the only door: nothing else in the daemon opens a perf event, a
 * file under /proc/PID, or a file that a target has mapped.
 *
 * A keeper answers with descriptors and parses nothing that a target wrote.
 * Every verb returns a close-on-exec descriptor that the caller owns, or -errno.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct keeper;
struct perf_event_attr;

/* Of /proc/PID. KEEPER_TASK is a directory descriptor. */
enum keeper_file {
	KEEPER_MAPS,
	KEEPER_STAT,
	KEEPER_STATM,
	KEEPER_STATUS,
	KEEPER_CGROUP,
	KEEPER_SMAPS,
	KEEPER_SMAPS_ROLLUP,
	KEEPER_LIMITS,
	KEEPER_ENVIRON,
	KEEPER_TASK,
};

/* Of the machine. KEEPER_PROC is /proc itself, a directory descriptor: which
 * processes there are. KEEPER_MODULES is /proc/modules. */
enum keeper_machine {
	KEEPER_PROC,
	KEEPER_KALLSYMS,
	KEEPER_MODULES,
};

/* A keeper inside this process, with this process's privileges. */
int keeper_new_local(struct keeper **ret_keeper);
void keeper_free(struct keeper *keeper);

int keeper_open_event(struct keeper *keeper, const struct perf_event_attr *attr, pid_t pid, int cpu,
		      unsigned long flags);
int keeper_open_process(struct keeper *keeper, pid_t pid); /* a pidfd */
int keeper_open_file(struct keeper *keeper, pid_t pid, enum keeper_file file);
/* /proc/PID/task/TID/syscall: what a thread waits in, and its stack pointer. The
 * kernel asks also of who reads it, not only of who opens it. */
int keeper_open_thread(struct keeper *keeper, pid_t pid, pid_t tid);
int keeper_open_machine(struct keeper *keeper, enum keeper_machine file);

/* The file that @pid has mapped at @start..@end, read-only; @path is what its
 * maps call it, for when map_files is not to be had: then it is opened below
 * /proc/PID/root, or, when @pid has gone, as it stands. By path it may be
 * another file than the one that was mapped: the caller compares. Regular files
 * only, and never one that would make the caller wait (FIFOs, devices, FUSE):
 * -EINVAL. */
int keeper_open_mapped(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end,
		       const char *path);

/* The file that @pid runs, as keeper_open_mapped() opens files. */
int keeper_open_program(struct keeper *keeper, pid_t pid);

/* The names that a process gives to code it generates: /tmp/perf-PID.map below its
 * own root, @inner_pid being its pid as it knows it itself. It has to be a regular
 * file, not reached by a link of that name, that belongs to @uid or root, that
 * nobody else may write to, and of at most @max_bytes. -EPERM: not so; -EFBIG;
 * -EINVAL as above; -ENOENT: there is none. */
int keeper_open_perf_map(struct keeper *keeper, pid_t pid, pid_t inner_pid, uid_t uid,
			 uint64_t max_bytes);

/* As keeper_open_mapped for a heap table, which is also written to. */
int keeper_open_table(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end);
