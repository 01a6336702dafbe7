/*
 * What all commands share: the options before the command, how a command ends,
 * and the table of commands.
 */
#pragma once

#include <stdbool.h>

/* Exit codes. `run` exits as the command that it ran did. */
enum profctl_exit {
	PROFCTL_DONE = 0,
	PROFCTL_FAILED = 1,
	PROFCTL_USAGE = 2,
	PROFCTL_NO_DAEMON = 3,
	PROFCTL_SIGNAL = 128, /* plus the signal's number */
};

struct profctl {
	const char *socket; /* as given by --socket; NULL: environment or default */
	bool json;
	const char *command;  /* the name of the command that runs */
	const char *help;     /* its help text */
	void (*sigpipe)(int); /* what SIGPIPE did when we were started: for children */
};

/* A command reports its own errors and returns an exit code. @argv[0] is the
 * command's name. */
struct profctl_command {
	const char *name;
	int (*run)(struct profctl *ctl, int argc, char **argv);
	const char *summary;
	const char *help;
};

extern const struct profctl_command profctl_run, profctl_snapshot, profctl_list, profctl_status,
	profctl_symbolize, profctl_top, profctl_enable, profctl_disable, profctl_enabled;
