/*
 * The privileged things that the engine needs, as a handful of verbs. This
 * header is the only door: nothing else in the daemon opens a perf event, a
 * file under /proc/PID, or a file that a target has mapped.
 *
 * A keeper answers with descriptors and parses nothing that a target wrote.
 * Every verb that opens returns a close-on-exec descriptor that the caller owns, or
 * -errno. The keeper is this process itself, or another one, which is asked over a
 * socket and decides about each request by itself (serve.h): then any verb may also
 * return -EPERM for what an engine may not have, and -ECONNRESET: it has gone.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

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

/* Of /proc/PID/task/TID. Of most of them the kernel asks who reads them, not only who
 * opened them. */
enum keeper_thread_file {
	KEEPER_THREAD_COMM,
	KEEPER_THREAD_STAT,
	KEEPER_THREAD_SYSCALL, /* what it waits in, and its stack pointer */
	KEEPER_THREAD_STACK,   /* the kernel's functions; for root with CAP_SYS_ADMIN only */
	KEEPER_THREAD_WCHAN,   /* the innermost of these */
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

/* The keeper at the other end of @socket, which is taken over, also on failure. */
int keeper_new_remote(int socket, struct keeper **ret_keeper);

/* To be watched for its hang-up; -1: the keeper is in this process. */
int keeper_socket(const struct keeper *keeper);

/* CPU time of another process that our requests have taken so far; 0: the keeper is in
 * this process. */
uint64_t keeper_spent_ns(const struct keeper *keeper);
void keeper_free(struct keeper *keeper);

int keeper_open_event(struct keeper *keeper, const struct perf_event_attr *attr, pid_t pid, int cpu,
		      unsigned long flags);
int keeper_open_process(struct keeper *keeper, pid_t pid); /* a pidfd */

/* Has the ring of an event set up, of @bytes behind its first page, beyond what this
 * process may lock in memory. Map it at once: at the next request the keeper lets go
 * of it. Returns 0 or -errno: then mapping it is still worth a try. */
int keeper_lend_ring(struct keeper *keeper, int event_fd, size_t bytes);
int keeper_open_file(struct keeper *keeper, pid_t pid, enum keeper_file file);
int keeper_open_machine(struct keeper *keeper, enum keeper_machine file);

/* A file's beginning, in at most @size bytes. Returns their number or -errno. Of the
 * environment, as it was when the program began, these are profd's own variables
 * only, each with its end: what else is in there is nobody's business. */
ssize_t keeper_read_file(struct keeper *keeper, pid_t pid, enum keeper_file file, char *ret,
			 size_t size);
ssize_t keeper_read_thread(struct keeper *keeper, pid_t pid, pid_t tid,
			   enum keeper_thread_file file, char *ret, size_t size);

#define KEEPER_TRACEPOINT_BYTES 128 /* of either part, with its end */

/* The file that holds the number of the tracepoint SYSTEM:NAME. -ENXIO: tracefs is not
 * mounted; -EACCES: it may not be read; -ENOENT; -EINVAL: no name of a tracepoint. */
int keeper_open_tracepoint(struct keeper *keeper, const char *system, const char *name);

/* The stack of a thread that waits, from its stack pointer @sp on, up to the first byte
 * that cannot be read; as peek_read(), which see. */
ssize_t keeper_read_stack(struct keeper *keeper, pid_t pid, pid_t tid, uint64_t sp,
			  const uint8_t **ret_bytes);
/* Stops a thread of @pid for a moment, for its registers and its stack; as peek_stop(),
 * which see. */
struct peek_thread;
ssize_t keeper_stop_thread(struct keeper *keeper, pid_t pid, pid_t tid,
			   struct peek_thread *ret_thread, const uint8_t **ret_stack);
void keeper_rest(struct keeper *keeper); /* no stacks are wanted for now */

/* The file that @pid has mapped at @start..@end, read-only; @path is what its
 * maps call it, for when map_files is not to be had: then it is opened below
 * /proc/PID/root, or, when @pid has gone, as it stands. By path it may be
 * another file than the one that was mapped: the caller compares. Regular files
 * only, and never one that would make the caller wait (FIFOs, devices, FUSE):
 * -EINVAL; and of these only what ELF files hold code: -ENOEXEC. */
int keeper_open_mapped(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end,
		       const char *path);

/* The file that @pid runs, as keeper_open_mapped() opens files. */
int keeper_open_program(struct keeper *keeper, pid_t pid);

/* The names that a process gives to code it generates: /tmp/perf-PID.map below its
 * own root, @inner_pid being its pid as it knows it itself. It has to be a regular
 * file, not reached by a link of that name, that belongs to @uid or root, that
 * nobody else may write to, and of at most @max_bytes. -EACCES: not so; -EFBIG;
 * -EINVAL as above; -ENOENT: there is none. */
int keeper_open_perf_map(struct keeper *keeper, pid_t pid, pid_t inner_pid, uid_t uid,
			 uint64_t max_bytes);
/*
 * Separate debug files. They are looked for below directories that belong to the
 * administrator, /usr/lib/debug and /usr/local/lib/debug and those that were
 * added, or next to the file that they belong to, and nowhere else, but for split units.
 */
enum keeper_debug_place {
	KEEPER_DEBUG_BY_ID,	    /* DIR/.build-id/xx/yyyy.debug */
	KEEPER_DEBUG_PROGRAM_BY_ID, /* DIR/.build-id/xx/yyyy: the program itself */
	KEEPER_DEBUG_DWZ,	    /* DIR/.dwz/NAME, or DIR/.dwz/X/NAME */
	KEEPER_DEBUG_BELOW,	    /* DIR/where-the-file-is/NAME */
	KEEPER_DEBUG_IN,	    /* DIR/NAME */
	KEEPER_DEBUG_BESIDE,	    /* where-the-file-is/NAME */
	KEEPER_DEBUG_BESIDE_HIDDEN, /* where-the-file-is/.debug/NAME */
	KEEPER_DEBUG_SPLIT_BELOW,   /* DIR/NAME, of a split unit: an absolute path */
	KEEPER_DEBUG_SPLIT,	    /* NAME itself */
};

struct keeper_debug {
	enum keeper_debug_place place;
	unsigned dir;	/* which DIR, from 0 */
	bool in_target; /* DIR in @pid's root rather than in ours */
	pid_t pid;	/* in whose root the file's path is */
	uid_t owner;	/* of the file */
	const uint8_t *build_id;
	size_t build_id_bytes;
	const char *path; /* of the file */
	const char *name; /* what the file says that its debug file is called; the path of a
			   * split unit's for KEEPER_DEBUG_SPLIT* */
};

/* Looks below @path too, and there first. Returns 0, -EINVAL (not absolute),
 * -ENOSPC or -ENOMEM; -EPERM: the keeper is another process, and chooses its own. */
int keeper_add_debug_dir(struct keeper *keeper, const char *path);
void keeper_forget_debug_dirs(struct keeper *keeper); /* all that were added */

/*
 * Opens the debug file @wanted, read-only. The name and the file may be anybody's,
 * so: a name is a plain file name, no symbolic link is followed below DIR or
 * beside the file, and what is opened is a regular file of root's or of the owner of
 * DIR, of the file's owner where DIR is the target's; root's beside a file only if
 * everyone may read it.
 *
 * A split unit is where it was compiled, in a directory of which only the file's author
 * knows. The path that the file gives for it is followed if it ends in ".dwo" and has no
 * ".." in it, below DIR as any name, or as it is, from the root of whoever has the file
 * mapped: then the same holds as beside the file. What is opened so belongs to the one who
 * owns the file that names it, who might as well have written the contents into that, or
 * to root, and everyone may read it.
 *
 * Whether it is the right one, the caller has to find out.
 *
 * -ERANGE: there is no such DIR; -ENOENT: no such file, or nothing to look for;
 * anything else: refused, -ELOOP for a symbolic link, -EACCES for an owner, -EINVAL
 * for a name or what is no regular file.
 */
int keeper_open_debug(struct keeper *keeper, const struct keeper_debug *wanted);

/* As keeper_open_mapped for a heap table, which is also written to: a file in memory
 * of a table's name, sealed against changing its size. */
int keeper_open_table(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end);

/* What the keeper is, and what the machine lets it do. */
#define KEEPER_NOTES_BYTES 2048

struct keeper_description {
	pid_t keeper, starter;		/* 0: there is none but this process */
	uint64_t requests;		/* of this engine */
	uint64_t refused;		/* of these: forbidden to it, or malformed */
	uint32_t engines;		/* started so far */
	char notes[KEEPER_NOTES_BYTES]; /* what is lost here, and why: a line each */
};

/* Returns 0 or -errno. */
int keeper_describe(struct keeper *keeper, struct keeper_description *ret_description);
