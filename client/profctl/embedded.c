#include "client/profctl/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/profctl/output.h"
#include "client/profctl/private.h"
#include "client/profctl/signals.h"
#include "profd/base.h"

#define EMBEDDED_START_MS 10000
#define EMBEDDED_STOP_MS  5000

/* In the child: becomes profd-http, or returns -errno. A Ctrl-C on the terminal is
 * for the command, and standard output is the command's. */
static int become(const char *program, const struct embedded_options *options, int ready_fd,
		  pid_t parent)
{
	char ready[16];
	const char *argv[] = {program,	       "--private", "--socket",
			      options->socket, "--listen",  options->address,
			      "--ready-fd",    ready,	    NULL};
	int null_fd;

	snprintf(ready, sizeof(ready), "%d", ready_fd);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		return -ESRCH;
	setsid();
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0)
		return -errno;
	sigprocmask(SIG_SETMASK, options->mask, NULL);
	execv(program, (char **)argv);
	return -errno;
}

static int wait_ready(const struct embedded_options *options, int ready_fd, int *ret_signal)
{
	int r = signals_wait(options->signals_fd, ready_fd, EMBEDDED_START_MS, ret_signal);
	char byte;

	if (r == -ETIMEDOUT)
		output_error("profd-http: not ready after %d s", EMBEDDED_START_MS / 1000);
	if (r < 0)
		return r;
	if (read(ready_fd, &byte, 1) == 1)
		return 0;
	/* Why, it has said itself. */
	output_error("--http: profd-http did not start, so the command was not run");
	return -EIO;
}

int embedded_start(const struct embedded_options *options, pid_t *ret_pid, int *ret_signal)
{
	_cleanup_close_ int read_fd = -1, write_fd = -1;
	_cleanup_free_ char *program = NULL;
	pid_t parent = getpid(), pid;
	int fds[2];
	int r = private_find("profd-http", &program);

	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = become(program, options, write_fd, parent);
		output_error("%s: %s", program, strerror(-r));
		_exit(127);
	}
	close(take_fd(&write_fd)); /* or its end would never be seen */
	r = wait_ready(options, read_fd, ret_signal);
	if (r < 0)
		embedded_stop(pid);
	else
		*ret_pid = pid;
	return r;
}

void embedded_stop(pid_t pid)
{
	_cleanup_close_ int pid_fd = -1;
	struct pollfd wait = {.events = POLLIN};

	if (pid <= 0)
		return;
	pid_fd = wait.fd = pidfd_open(pid, 0);
	kill(pid, SIGTERM);
	if (pid_fd < 0 || poll(&wait, 1, EMBEDDED_STOP_MS) <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}
