/*
 * A server is a child in a session of its own: a Ctrl-C on the terminal is for the
 * command, and profd must outlive the command to write what it saw. That it is ready it
 * says through a pipe, by one byte; if the pipe ends without one, it has said on standard
 * error why. Its standard output is our standard error, for standard output belongs to
 * the command, and its standard input is empty.
 */
#include "client/profctl/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/profctl/output.h"
#include "client/profctl/signals.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_SERVER_ARGS 20
#define STOP_MS		10000

/* Relative to the directory of profctl; then as installed by a package. */
static const char *const places[] = {"", "../sbin/", "../lib/profd/", "/usr/sbin/",
				     "/usr/lib/profd/"};

/* Empty: not to be had. */
static void own_dir(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - 1);
	char *slash;

	ret[n > 0 ? n : 0] = '\0';
	slash = strrchr(ret, '/');
	ret[slash ? slash + 1 - ret : 0] = '\0';
}

/* NULL: nowhere. */
static char *look_for(const char *name, const char *dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = NULL;
		const char *before = places[i][0] == '/' ? "" : dir;

		if (asprintf(&path, "%s%s%s", before, places[i], name) < 0) {
			path = NULL;
			return NULL;
		}
		if (access(path, R_OK) == 0)
			return realpath(path, NULL);
	}
	return NULL;
}

int helper_find(const char *name, char **ret_path)
{
	char dir[PROFD_MAX_PATH];
	char *path;

	own_dir(dir, sizeof(dir));
	path = look_for(name, dir);
	if (path) {
		*ret_path = path;
		return 0;
	}
	output_error("%s: not found beside profctl (%s) nor in /usr: install it there", name, dir);
	return -ENOENT;
}

char *helper_name_client(void)
{
	char dir[PROFD_MAX_PATH];

	own_dir(dir, sizeof(dir));
	return look_for("libprofd.so", dir) ?: strdup("libprofd.so");
}

/* In the child: if it is to end with us, and we still are. */
static int end_with(pid_t parent, int signal_number)
{
	if (prctl(PR_SET_PDEATHSIG, signal_number) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/* In the child: becomes the server, or returns -errno. */
static int become_server(const char *program, const struct helper_server *server, int ready_fd,
			 pid_t parent)
{
	char ready[16];
	const char *argv[MAX_SERVER_ARGS + 1] = {program, "--ready-fd", ready};
	size_t n = 3;
	int null_fd, r;

	snprintf(ready, sizeof(ready), "%d", ready_fd);
	for (const char *const *arg = server->args; *arg; arg++) {
		if (n == MAX_SERVER_ARGS)
			return -E2BIG;
		argv[n++] = *arg;
	}
	/* profd sees the end of a connection; this is for the time before there is one. */
	r = end_with(parent, SIGTERM);
	if (r < 0)
		return r;
	setsid();
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0)
		return -errno;
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, server->mask, NULL);
	execv(program, (char **)argv);
	return -errno;
}

static int wait_ready(const struct helper_server *server, int ready_fd, int *ret_signal)
{
	int r = signals_wait(server->signals_fd, ready_fd, server->timeout_ms, ret_signal);
	char byte;

	if (r == -ETIMEDOUT)
		output_error("%s: not ready after %d s: is the machine overloaded?", server->name,
			     server->timeout_ms / 1000);
	if (r < 0)
		return r;
	if (read(ready_fd, &byte, 1) == 1)
		return 0;
	/* Why, it has said itself. */
	output_error("%s: did not start, so the command was not run", server->name);
	return -EIO;
}

static int report(const struct helper_server *server)
{
	int r = -errno;

	output_error("%s: %s", server->name, strerror(-r));
	return r;
}

int helper_serve(const struct helper_server *server, pid_t *ret_pid, int *ret_signal)
{
	_cleanup_close_ int read_fd = -1, write_fd = -1;
	_cleanup_free_ char *program = NULL;
	pid_t parent = getpid(), pid;
	int fds[2], r;

	r = helper_find(server->name, &program);
	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return report(server);
	read_fd = fds[0];
	write_fd = fds[1];
	pid = fork();
	if (pid < 0)
		return report(server);
	if (pid == 0) {
		r = become_server(program, server, write_fd, parent);
		output_error("%s: %s", program, strerror(-r));
		_exit(127);
	}
	close(take_fd(&write_fd)); /* or its end would never be seen */
	r = wait_ready(server, read_fd, ret_signal);
	if (r < 0)
		helper_stop(pid, 0);
	else
		*ret_pid = pid;
	return r;
}

static void reap(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		continue;
}

/* A descriptor of a process is readable once that has ended. */
static bool has_ended(int pid_fd, int timeout_ms)
{
	struct pollfd wait = {.fd = pid_fd, .events = POLLIN};

	return poll(&wait, 1, timeout_ms) > 0;
}

void helper_stop(pid_t pid, int patience_ms)
{
	_cleanup_close_ int pid_fd = -1;

	if (pid <= 0)
		return;
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0 || !has_ended(pid_fd, patience_ms))
		kill(pid, SIGTERM);
	if (pid_fd >= 0 && !has_ended(pid_fd, STOP_MS))
		kill(pid, SIGKILL);
	reap(pid, NULL);
}

static int put(int fd, int at)
{
	return fd < 0 || dup2(fd, at) >= 0 ? 0 : -errno;
}

/* In the child: becomes the filter, or returns -errno. */
static int become_filter(const struct helper_filter *filter, pid_t parent)
{
	int r = end_with(parent, SIGKILL);

	r = r ?: put(filter->in_fd, STDIN_FILENO);
	r = r ?: put(filter->out_fd, STDOUT_FILENO);
	r = r ?: put(filter->error_fd, STDERR_FILENO);
	if (r < 0)
		return r;
	execv(filter->argv[0], (char **)filter->argv);
	return -errno;
}

int helper_start(const struct helper_filter *filter, pid_t *ret_pid)
{
	pid_t parent = getpid(), pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = become_filter(filter, parent);
		dprintf(STDERR_FILENO, "%s: %s\n", filter->argv[0], strerror(-r));
		_exit(127);
	}
	*ret_pid = pid;
	return 0;
}

int helper_wait(pid_t pid)
{
	int status = 0;

	reap(pid, &status);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
