/*
 * Capabilities go from all three places: the bounding set, which is what a program
 * could gain by being executed, the permitted and effective sets, which are what this
 * process has, and the ambient set, which is what it would hand on. The bounding set
 * goes first: lowering it takes a capability, CAP_SETPCAP.
 *
 * The keeper's filter of system calls is a list of what may be called: it never
 * executes a program, never opens a socket, and never maps code. Its children, which
 * read memory (peek.h), live under the same. The engine's is a list of what may
 * not: libraries that it needs call what they please. Either refuses with EPERM: a
 * call that a new libc makes shall not end a service.
 */
#include "daemon/keeper/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/keeper/filter.h"
#include "profd/base.h"

#define BIT(cap) (1ULL << (cap))

#define KEEPER_CAPABILITIES                                                                        \
	(BIT(CAP_PERFMON) | BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) |                       \
	 BIT(CAP_CHECKPOINT_RESTORE) | BIT(CAP_SYSLOG) | BIT(CAP_IPC_LOCK))

/* ---- capabilities */

uint64_t confine_held_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, sets) < 0)
		return 0;
	return sets[0].effective | (uint64_t)sets[1].effective << 32;
}

static int set_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, sets) < 0)
		return -errno;
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
		sets[i].permitted &= (uint32_t)(wanted >> 32 * i);
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* A service manager may have done it, and left us no right to do it. */
static int bound_capabilities(uint64_t kept)
{
	int is;

	for (unsigned long cap = 0; (is = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		if (is == 1 && !(kept & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

static int keep_capabilities(uint64_t kept)
{
	int r = bound_capabilities(kept);

	if (r < 0)
		return r;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return set_capabilities(kept);
}

int confine_keeper(void)
{
	return keep_capabilities(KEEPER_CAPABILITIES);
}

int confine_engine(uid_t uid, gid_t gid)
{
	int r = bound_capabilities(0);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return keep_capabilities(0);
}

/* ---- system calls */

static const int keeper_calls[] = {
	SCMP_SYS(access),
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clone), /* a child that reads memory */
	SCMP_SYS(close),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(futex),
	SCMP_SYS(getdents64), /* settings, read anew */
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(kill),
	SCMP_SYS(lseek),
	SCMP_SYS(madvise),
	SCMP_SYS(memfd_create),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(nanosleep),
	SCMP_SYS(newfstatat),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(pread64),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(read),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(statx),
	SCMP_SYS(tgkill),
	SCMP_SYS(wait4),
	SCMP_SYS(write), /* what it has to say */
	SCMP_SYS(writev),
};

static const int engine_refused[] = {
	SCMP_SYS(add_key),
	SCMP_SYS(bpf),
	SCMP_SYS(fsopen),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(kcmp),
	SCMP_SYS(keyctl),
	SCMP_SYS(mount),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(personality),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pivot_root),
	SCMP_SYS(process_madvise),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(ptrace),
	SCMP_SYS(request_key),
	SCMP_SYS(setns),
	SCMP_SYS(umount2),
	SCMP_SYS(unshare),
	SCMP_SYS(userfaultfd),
};

static int add_keeper_rules(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp unix_pair = SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0);
	/* looking at a thread that stands still, never changing it */
	static const int ptraces[] = {PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GETREGSET,
				      PTRACE_DETACH};
	static const int prctls[] = {PR_SET_PDEATHSIG, PR_SET_TIMERSLACK};
	int r = filter_add(filter, SCMP_ACT_ALLOW, keeper_calls, ARRAY_SIZE(keeper_calls));

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, unix_pair);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(prctls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)prctls[i], 0));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ptraces); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ptrace), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)ptraces[i], 0));
	return r;
}

/* clone3's flags lie in memory, where a filter cannot look: libc falls back. */
static int add_engine_rules(scmp_filter_ctx filter)
{
	const scmp_datum_t spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID |
				    CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	const struct scmp_arg_cmp not_unix = SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0);
	int r = filter_add(filter, SCMP_ACT_ERRNO(EPERM), engine_refused,
			   ARRAY_SIZE(engine_refused));

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, not_unix);
	for (scmp_datum_t bit = 1; r == 0 && bit <= spaces; bit <<= 1)
		if (bit & spaces)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
	return r;
}

int confine_keeper_calls(void)
{
	return filter_load(SCMP_ACT_ERRNO(EPERM), add_keeper_rules);
}

int confine_engine_calls(void)
{
	return filter_load(SCMP_ACT_ALLOW, add_engine_rules);
}
