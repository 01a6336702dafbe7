/*
 * The scribe parses files that its targets wrote. Whatever such a file makes it
 * do, it has no descriptor of the engine's, no capability, and no way to gain
 * one.
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
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* Sanitizers reserve more than any limit. */
	set_limit(RLIMIT_DATA, SANDBOX_DATA_BYTES);
	set_limit(RLIMIT_AS, SANDBOX_ADDRESS_BYTES);
#endif
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

void sandbox_enter(int socket)
{
	close_others(socket);
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	ignore_signals();
	set_limits();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	drop_capabilities();
}
