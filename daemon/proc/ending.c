#include "daemon/proc/ending.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

static bool ask_pidfd(int pid_fd, int *ret_status)
{
	struct pidfd_ending info = {.mask = ENDING_EXIT};

	if (pid_fd < 0 || ioctl(pid_fd, ENDING_GET, &info) < 0 || !(info.mask & ENDING_EXIT))
		return false;
	*ret_status = info.exit_code;
	return true;
}

int process_read_ending(struct keeper *keeper, pid_t pid, int pid_fd, int *ret_status)
{
	struct identity_stat st;

	if (ask_pidfd(pid_fd, ret_status))
		return 0;
	/* a zombie keeps its pid, so this cannot be another process */
	if (identity_read_stat(keeper, pid, &st) == 0 && st.state == 'Z' && st.exit_code != 0) {
		*ret_status = st.exit_code;
		return 0;
	}
	/* it may have been waited for between the two */
	return ask_pidfd(pid_fd, ret_status) ? 0 : -ENODATA;
}

void process_describe_ending(int status, char *ret, size_t size)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
	const char *core = WIFSIGNALED(status) && WCOREDUMP(status) ? ", core dumped" : "";

	if (name)
		snprintf(ret, size, "killed by SIG%s%s", name, core);
	else if (WIFSIGNALED(status))
		snprintf(ret, size, "killed by signal %d%s", WTERMSIG(status), core);
	else
		snprintf(ret, size, "exited with status %d", WEXITSTATUS(status));
}

/* ---- out of memory */

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool leads_out(const char *path, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++)
		if (strncmp(path + i, "/..", 3) == 0 && (i + 3 == n || path[i + 3] == '/'))
			return true;
	return n == 0 || *path != '/';
}

static bool is_among(const char *list, size_t n, const char *wanted)
{
	size_t wanted_n = strlen(wanted);

	for (size_t at = 0; at + wanted_n <= n; at++) {
		if (strncmp(list + at, wanted, wanted_n) == 0 && (at == 0 || list[at - 1] == ',') &&
		    (at + wanted_n == n || list[at + wanted_n] == ','))
			return true;
	}
	return false;
}

/* Lines are ID:CONTROLLERS:PATH. A hierarchy of its own for memory is version 1;
 * otherwise the one hierarchy of version 2, which names no controllers. */
char *ending_parse_oom_path(const char *cgroup)
{
	char *found = NULL, *path;

	for (const char *end; *cgroup; cgroup = *end ? end + 1 : end) {
		const char *list = strchr(cgroup, ':'), *at;
		bool memory;

		end = strchrnul(cgroup, '\n');
		at = list && list < end ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
		if (!at++ || leads_out(at, (size_t)(end - at)))
			continue;
		memory = is_among(list + 1, (size_t)(at - list - 2), "memory");
		if ((!memory && (found || strncmp(cgroup, "0::", 3) != 0)) ||
		    asprintf(&path, CGROUP_ROOT "%s%.*s/%s", memory ? "/memory" : "",
			     (int)(end - at), at,
			     memory ? "memory.oom_control" : "memory.events") < 0)
			continue;
		free(found);
		found = path;
	}
	return found;
}

int ending_parse_oom_count(const char *text, uint64_t *ret_kills)
{
	const char *line = strncmp(text, "oom_kill ", 9) == 0 ? text : strstr(text, "\noom_kill ");

	return line && sscanf(line, " oom_kill %" SCNu64, ret_kills) == 1 ? 0 : -EBADMSG;
}

int process_find_oom_count(struct keeper *keeper, pid_t pid, char **ret_path)
{
	_cleanup_free_ char *path = NULL;
	char text[IDENTITY_MAX_BYTES];
	uint64_t kills;
	int r = identity_read_text(keeper, pid, KEEPER_CGROUP, text);

	if (r < 0)
		return r;
	path = ending_parse_oom_path(text);
	if (!path)
		return -ENOENT;
	r = process_read_oom_count(path, &kills);
	if (r == 0)
		*ret_path = take_ptr(path);
	return r;
}

int process_read_oom_count(const char *path, uint64_t *ret_kills)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[1024];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return ending_parse_oom_count(text, ret_kills);
}
