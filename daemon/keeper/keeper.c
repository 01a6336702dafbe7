/*
 * The verbs, carried out in this process with its own privileges, or asked of another
 * (remote.c). Each opens exactly one thing, which the caller names by numbers; what a
 * target has mapped stands apart, in mapped.c.
 *
 * The state is one descriptor of /proc: what is opened below it is the procfs
 * seen at start, whatever is mounted over it later.
 */
#include "daemon/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "daemon/keeper/environment.h"
#include "daemon/keeper/keeper-state.h"
#include "daemon/keeper/peek.h"
#include "daemon/keeper/permit.h"
#include "daemon/keeper/remote.h"
#include "daemon/keeper/wire.h"
#include "profd/base.h"

static const char *const process_files[] = {
	[KEEPER_MAPS] = "maps",	    [KEEPER_STAT] = "stat",
	[KEEPER_STATM] = "statm",   [KEEPER_STATUS] = "status",
	[KEEPER_CGROUP] = "cgroup", [KEEPER_SMAPS] = "smaps",
	[KEEPER_LIMITS] = "limits", [KEEPER_SMAPS_ROLLUP] = "smaps_rollup",
	[KEEPER_TASK] = "task",	    [KEEPER_ENVIRON] = "environ",
};

static const char *const thread_files[] = {
	[KEEPER_THREAD_COMM] = "comm",	     [KEEPER_THREAD_STAT] = "stat",
	[KEEPER_THREAD_STACK] = "stack",     [KEEPER_THREAD_WCHAN] = "wchan",
	[KEEPER_THREAD_SYSCALL] = "syscall",
};

static const char *const machine_files[] = {
	[KEEPER_PROC] = ".",
	[KEEPER_KALLSYMS] = "kallsyms",
	[KEEPER_MODULES] = "modules",
};

int keeper_new_local(struct keeper **ret_keeper)
{
	_cleanup_free_ struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->socket = -1;
	k->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (k->proc_fd < 0)
		return -errno;
	*ret_keeper = take_ptr(k);
	return 0;
}

int keeper_new_remote(int socket, struct keeper **ret_keeper)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (k)
		k->answer = malloc(WIRE_ANSWER_BYTES);
	if (!k || !k->answer) {
		free(k);
		close(socket);
		return -ENOMEM;
	}
	k->socket = socket;
	k->proc_fd = -1;
	*ret_keeper = k;
	return 0;
}

int keeper_socket(const struct keeper *keeper)
{
	return keeper->socket;
}

uint64_t keeper_spent_ns(const struct keeper *keeper)
{
	return keeper->spent_ns;
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	profd_closep(&keeper->socket);
	free(keeper->answer);
	profd_closep(&keeper->proc_fd);
	peek_free(keeper->peek);
	for (unsigned i = 0; i < keeper->n_debug_dirs; i++)
		free(keeper->debug_dirs[i]);
	free(keeper);
}

int keeper_open_event(struct keeper *keeper, const struct perf_event_attr *attr, pid_t pid, int cpu,
		      unsigned long flags)
{
	long fd;

	if (keeper_is_remote(keeper))
		return flags ? -EPERM : remote_open_event(keeper, attr, pid, cpu);
	fd = syscall(SYS_perf_event_open, attr, pid, cpu, -1, flags | PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

int keeper_lend_ring(struct keeper *keeper, int event_fd, size_t bytes)
{
	return keeper_is_remote(keeper) ? remote_lend_ring(keeper, event_fd, bytes) : 0;
}

/* Takes no privilege, so nobody is asked. */
int keeper_open_process(struct keeper *keeper, pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */

	return fd < 0 ? -errno : (int)fd;
}

int keeper_open_file(struct keeper *keeper, pid_t pid, enum keeper_file file)
{
	char path[64];
	int flags, fd;

	if (keeper_is_remote(keeper))
		return remote_open_file(keeper, pid, file);
	if (pid <= 0 || (unsigned)file >= ARRAY_SIZE(process_files))
		return -EINVAL;
	flags = O_RDONLY | O_CLOEXEC | (file == KEEPER_TASK ? O_DIRECTORY : 0);
	snprintf(path, sizeof(path), "%d/%s", (int)pid, process_files[file]);
	fd = openat(keeper->proc_fd, path, flags);
	return fd < 0 ? -errno : fd;
}

/* procfs gives a text in pieces. */
static ssize_t read_text(int fd, char *ret, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t got = read(fd, ret + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static ssize_t read_environment(struct keeper *keeper, pid_t pid, char *ret, size_t size)
{
	char stat[1024];
	ssize_t n = keeper_read_file(keeper, pid, KEEPER_STAT, stat, sizeof(stat) - 1);
	int r = 0;

	if (n < 0)
		return n;
	stat[n] = '\0';
	if (!keeper->peek)
		r = peek_new(&keeper->peek);
	return r < 0 ? r : environment_read(keeper->peek, pid, stat, ret, size);
}

ssize_t keeper_read_file(struct keeper *keeper, pid_t pid, enum keeper_file file, char *ret,
			 size_t size)
{
	_cleanup_close_ int fd = -1;

	if (keeper_is_remote(keeper) && permit_read(file) == 0)
		return remote_read_file(keeper, pid, file, ret, size);
	if (file == KEEPER_ENVIRON)
		return read_environment(keeper, pid, ret, size);
	fd = keeper_open_file(keeper, pid, file);
	return fd < 0 ? fd : read_text(fd, ret, size);
}

ssize_t keeper_read_thread(struct keeper *keeper, pid_t pid, pid_t tid,
			   enum keeper_thread_file file, char *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	if (keeper_is_remote(keeper))
		return remote_read_thread(keeper, pid, tid, file, ret, size);
	if (pid <= 0 || tid <= 0 || (unsigned)file >= ARRAY_SIZE(thread_files))
		return -EINVAL;
	snprintf(path, sizeof(path), "%d/task/%d/%s", (int)pid, (int)tid, thread_files[file]);
	fd = openat(keeper->proc_fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : read_text(fd, ret, size);
}

ssize_t keeper_read_stack(struct keeper *keeper, pid_t pid, pid_t tid, uint64_t sp,
			  const uint8_t **ret_bytes)
{
	int r = 0;

	if (keeper_is_remote(keeper))
		return remote_read_stack(keeper, pid, tid, sp, ret_bytes);
	if (pid <= 0 || tid <= 0)
		return -EINVAL;
	if (!keeper->peek)
		r = peek_new(&keeper->peek);
	return r < 0 ? r : peek_read(keeper->peek, pid, sp, PEEK_BYTES, ret_bytes);
}

/* A thread of another process may not be stopped in its name. */
static bool is_thread_of(struct keeper *keeper, pid_t pid, pid_t tid)
{
	char path[48];

	snprintf(path, sizeof(path), "%d/task/%d", (int)pid, (int)tid);
	return faccessat(keeper->proc_fd, path, F_OK, 0) == 0;
}

ssize_t keeper_stop_thread(struct keeper *keeper, pid_t pid, pid_t tid,
			   struct peek_thread *ret_thread, const uint8_t **ret_stack)
{
	int r = 0;

	if (keeper_is_remote(keeper))
		return remote_stop_thread(keeper, pid, tid, ret_thread, ret_stack);
	if (pid <= 0 || tid <= 0)
		return -EINVAL;
	if (!is_thread_of(keeper, pid, tid))
		return -ESRCH;
	if (!keeper->peek)
		r = peek_new(&keeper->peek);
	return r < 0 ? r : peek_stop(keeper->peek, tid, ret_thread, ret_stack);
}

void keeper_rest(struct keeper *keeper)
{
	if (keeper_is_remote(keeper))
		remote_rest(keeper);
	if (keeper->peek)
		peek_rest(keeper->peek);
}

/* Where the unit's protection hides /proc/kallsyms along with the kernel's tunables,
 * it is shown here as well (profd.service). Only root can put something there. */
static int open_shown_kallsyms(void)
{
	_cleanup_close_ int fd = open("/run/profd.kallsyms", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char first;

	/* when the service has ended, an empty file is left there */
	return fd >= 0 && pread(fd, &first, 1, 0) == 1 ? take_fd(&fd) : -ENOENT;
}

int keeper_open_machine(struct keeper *keeper, enum keeper_machine file)
{
	int flags, fd;

	if (keeper_is_remote(keeper))
		return remote_open_machine(keeper, file);
	if (file == KEEPER_KALLSYMS && (fd = open_shown_kallsyms()) >= 0)
		return fd;

	if ((unsigned)file >= ARRAY_SIZE(machine_files))
		return -EINVAL;
	flags = O_RDONLY | O_CLOEXEC | (file == KEEPER_PROC ? O_DIRECTORY : 0);
	fd = openat(keeper->proc_fd, machine_files[file], flags);
	return fd < 0 ? -errno : fd;
}

int keeper_describe(struct keeper *keeper, struct keeper_description *ret_description)
{
	if (keeper_is_remote(keeper))
		return remote_describe(keeper, ret_description);
	*ret_description = (struct keeper_description){0};
	return 0;
}
