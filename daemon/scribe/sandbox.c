/*
 * The scribe parses files that its targets wrote. Whatever such a file makes it
 * do, it has no descriptor of the engine's, no capability, and no way to gain
 * one. Two fences stand behind one another:
 *
 * - A system call filter lets through what reading, mapping and writing given
 *   descriptors needs. It opens nothing that is there already: openat() is for
 *   unnamed files alone, which is how a profile begins. What only asks for a file
 *   (a library that looks for another's debug file) is told EACCES; anything else
 *   that is not on the list ends the process, and the module that was being
 *   parsed is to blame. No memory becomes code.
 * - Landlock, where the kernel has it, forbids the file system: no file can be
 *   read or removed, and none linked into a directory that it was not made in.
 *
 * Time: a job has so much CPU time (worker.c), and the engine's clock runs beside it.
 *
 * Memory: allocations and file mappings are limited apart, for a large program
 * with debug information is mapped whole, and that is no memory of its own.
 *
 * Signals from the terminal or the service manager go to the whole group, but
 * it is the engine that decides when to end, and the last profiles are still to
 * be written then: this process ends when its socket does.
 */
#include "daemon/scribe/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/keeper/filter.h"
#include "profd/base.h"
#include "profd/limits.h"

#define SANDBOX_DATA_BYTES    (1ULL << 30)
#define SANDBOX_ADDRESS_BYTES (16ULL << 30)
#define SANDBOX_SPARE_FDS     64

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return;
	limit.rlim_max = min(limit.rlim_max, value);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

static void set_limits(void)
{
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_NOFILE, PROFD_SCRIBE_MAX_MODULES + SANDBOX_SPARE_FDS);
	if (FILTER_SANITIZED)
		return;
	set_limit(RLIMIT_DATA, SANDBOX_DATA_BYTES);
	set_limit(RLIMIT_AS, SANDBOX_ADDRESS_BYTES);
}

static void close_others(int socket)
{
	if (socket > 3)
		close_range(3, (unsigned)socket - 1, 0);
	close_range((unsigned)socket + 1, ~0U, 0);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

/* Those that end the process stay as they are where they mean a fault. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* Never less than nothing: what cannot be forbidden here is left to the filter. */
static void forbid_files(void)
{
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
				     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
				     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
				     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
				     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
				     LANDLOCK_ACCESS_FS_MAKE_SYM,
	};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (fd < 0)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

/* What the scribe lives on. Memory, the given descriptors, time, and its end. */
static const int allowed[] = {
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(alarm),
	SCMP_SYS(fchmod),
	SCMP_SYS(fcntl),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fstat),
	SCMP_SYS(fsync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(gettid),
	SCMP_SYS(linkat),
	SCMP_SYS(lseek),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(newfstatat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
	SCMP_SYS(setitimer),
	SCMP_SYS(tgkill),
	SCMP_SYS(unlinkat),
	SCMP_SYS(write),
	SCMP_SYS(writev),
};

/* Asked for by libraries that can do without. */
static const int refused[] = {
	SCMP_SYS(access),     SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(getcwd),
	SCMP_SYS(getdents64), SCMP_SYS(ioctl),	   SCMP_SYS(open),	 SCMP_SYS(openat2),
	SCMP_SYS(prlimit64),  SCMP_SYS(readlink),  SCMP_SYS(readlinkat), SCMP_SYS(stat),
	SCMP_SYS(statx),      SCMP_SYS(sysinfo),
};

static int add_rules(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp unnamed = SCMP_A2(SCMP_CMP_MASKED_EQ, O_TMPFILE, O_TMPFILE);
	const struct scmp_arg_cmp named = SCMP_A2(SCMP_CMP_MASKED_EQ, O_TMPFILE & ~O_DIRECTORY, 0);
	const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = filter_add(filter, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed));

	if (r == 0)
		r = filter_add(filter, SCMP_ACT_ERRNO(EACCES), refused, ARRAY_SIZE(refused));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, unnamed);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1, named);
	return r;
}

int sandbox_enter(int socket)
{
	int r;

	close_others(socket);
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	ignore_signals();
	/* What it has in hand an engine that was killed cannot be told of, and the next
	 * one's start waits for nobody. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	set_limits();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	drop_capabilities();
	if (FILTER_SANITIZED)
		return 0;
	forbid_files();
	r = filter_load(SCMP_ACT_KILL_PROCESS, add_rules);
	/* A kernel without filters has the rest all the same; and where an outer
	 * filter forbids this one, that one stands. */
	return r == -EINVAL || r == -ENOSYS || r == -EPERM ? 0 : r;
}
