#include "daemon/proc/ending.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "daemon/proc/identity.h"
#include "profd/base.h"

/* As <linux/pidfd.h> has them from 6.15 on; older headers lack them. */
struct pidfd_ending {
	uint64_t mask, cgroup;
	uint32_t pids[3], ids[8];
	int32_t exit_code;
};
static_assert(sizeof(struct pidfd_ending) == 64, "PIDFD_INFO_SIZE_VER0");

#define ENDING_EXIT (1ULL << 3) /* PIDFD_INFO_EXIT */
#define ENDING_GET  _IOWR(0xff, 11, struct pidfd_ending)

int process_read_ending(struct keeper *keeper, pid_t pid, int pid_fd, int *ret_status)
{
	struct pidfd_ending info = {.mask = ENDING_EXIT};
	struct identity_stat st;

	if (pid_fd >= 0 && ioctl(pid_fd, ENDING_GET, &info) == 0 && (info.mask & ENDING_EXIT)) {
		*ret_status = info.exit_code;
		return 0;
	}
	/* a zombie keeps its pid, so this cannot be another process */
	if (identity_read_stat(keeper, pid, &st) == 0 && st.state == 'Z' && st.exit_code != 0) {
		*ret_status = st.exit_code;
		return 0;
	}
	return -ENODATA;
}

void process_describe_ending(int status, char *ret, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(ret, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(ret, size, "exited with status %d", WEXITSTATUS(status));
}
