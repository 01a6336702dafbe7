#include "client/profctl/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/profctl/profctl.h"
#include "profd/base.h"
#include "profd/limits.h"

static int set_environment(const struct command_options *options, uint32_t timers_hz)
{
	static const char *const ours[] = {"PROFD_RUN_CPU", "PROFD_RUN_HEAP", "PROFD_RUN_HTTP",
					   "PROFD_RUN_CHILDREN"};
	const char *others = getenv("LD_PRELOAD");
	_cleanup_free_ char *preload = NULL;
	char rate[24], hz[24];

	/* They are of this run; one inside it would write over its files. */
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		unsetenv(ours[i]);
	unsetenv("PROFD_CPU"); /* of a run that this one is part of */
	if (!options->preload || (!options->heap && timers_hz == 0))
		return 0;
	/* First: what comes before it would hide its malloc. */
	if (asprintf(&preload, "%s%s%s", options->preload, others && *others ? ":" : "",
		     others ? others : "") < 0) {
		preload = NULL;
		return -ENOMEM;
	}
	snprintf(rate, sizeof(rate), "%" PRIu64, options->rate_bytes);
	snprintf(hz, sizeof(hz), "%" PRIu32, timers_hz);
	if (setenv("LD_PRELOAD", preload, 1) < 0 || setenv("PROFD_SOCKET", options->socket, 1) < 0)
		return -errno;
	if (options->rate_bytes > 0 && setenv("PROFD_RATE", rate, 1) < 0)
		return -errno;
	if (timers_hz > 0 && setenv("PROFD_CPU", hz, 1) < 0)
		return -errno;
	snprintf(rate, sizeof(rate), "%d", PROFD_BLOCK_RATE_NS);
	if (options->block && setenv("PROFD_BLOCK", rate, 0) < 0)
		return -errno;
	snprintf(rate, sizeof(rate), "%d", PROFD_MUTEX_FRACTION);
	if (options->mutex && setenv("PROFD_MUTEX", rate, 0) < 0)
		return -errno;
	return 0;
}

/* In the child. Returns -errno. */
static int wait_and_exec(const struct command_options *options, int gate_fd)
{
	uint32_t timers_hz;
	ssize_t n;
	int r;

	do {
		n = read(gate_fd, &timers_hz, sizeof(timers_hz));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(timers_hz))
		return -ECANCELED; /* nobody is left to hear of it */
	r = set_environment(options, timers_hz);
	if (r < 0)
		return r;
	signal(SIGPIPE, options->sigpipe);
	sigprocmask(SIG_SETMASK, options->mask, NULL);
	execvp(options->argv[0], options->argv);
	return -errno;
}

__attribute__((noreturn)) static void be_child(const struct command_options *options,
					       const int *gate, const int *report)
{
	ssize_t n;
	int error;

	/* Our own copy of the gate would keep it from ever closing. */
	close(gate[1]);
	close(report[0]);
	error = -wait_and_exec(options, gate[0]);
	n = write(report[1], &error, sizeof(error));
	_exit(n < 0 || error != ENOENT ? 126 : 127);
}

int command_start(const struct command_options *options, struct command *ret_command)
{
	int gate[2], report[2];
	pid_t pid;
	int r = 0;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		goto close_gate;
	}
	pid = fork();
	if (pid == 0)
		be_child(options, gate, report);
	if (pid < 0) {
		r = -errno;
		close(report[0]);
		close(report[1]);
		goto close_gate;
	}
	close(gate[0]);
	close(report[1]);
	*ret_command = (struct command){.pid = pid, .gate_fd = gate[1], .exec_fd = report[0]};
	return 0;

close_gate:
	close(gate[0]);
	close(gate[1]);
	return r;
}

int command_release(struct command *command, uint32_t timers_hz)
{
	int r = 0;

	if (write(command->gate_fd, &timers_hz, sizeof(timers_hz)) != sizeof(timers_hz))
		r = -errno;
	close(take_fd(&command->gate_fd));
	return r;
}

void command_reap(struct command *command)
{
	int status = 0;

	if (!command->ended && waitpid(command->pid, &status, WNOHANG) == command->pid) {
		command->ended = true;
		command->wait_status = status;
	}
}

int command_exec_error(const struct command *command)
{
	int error = 0;

	if (read(command->exec_fd, &error, sizeof(error)) != sizeof(error))
		return 0;
	return -error;
}

int command_exit_code(const struct command *command)
{
	if (WIFSIGNALED(command->wait_status))
		return PROFCTL_SIGNAL + WTERMSIG(command->wait_status);
	return WEXITSTATUS(command->wait_status);
}

void command_done(struct command *command)
{
	if (command->pid <= 0)
		return;
	if (command->gate_fd >= 0)
		close(take_fd(&command->gate_fd));
	if (command->exec_fd >= 0)
		close(take_fd(&command->exec_fd));
	while (!command->ended && waitpid(command->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	*command = (struct command){.gate_fd = -1, .exec_fd = -1};
}
