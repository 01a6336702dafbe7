/*
 * The command that is profiled: a child that waits before exec, so that
 * everything which shall see it from its first instruction on can be set up.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct command_options {
	char **argv;
	const char *preload;  /* library to load first; NULL: none */
	bool heap;	      /* load it in any case; else for timers alone */
	bool block, mutex;    /* it measures these, at the rates of limits.h unless told */
	const char *socket;   /* for the library */
	uint64_t rate_bytes;  /* 0: the library's default */
	const sigset_t *mask; /* signal mask and */
	void (*sigpipe)(int); /* disposition that the command starts with */
};

struct command {
	pid_t pid;   /* 0: none */
	int gate_fd; /* a number here lets it exec; closing it ends it */
	int exec_fd; /* gives the errno if exec fails */
	bool ended;
	int wait_status;
};

/* Forks. Returns 0 or -errno. */
int command_start(const struct command_options *options, struct command *ret_command);
/* Lets it exec. @timers_hz: CPU samples that the library shall take a second; 0: none. */
int command_release(struct command *command, uint32_t timers_hz);
/* Notes whether it has ended. */
void command_reap(struct command *command);
/* Why exec failed, as -errno; 0: it did not. Once it has ended. */
int command_exec_error(const struct command *command);
/* What the shell would say of it: its exit status, or 128+signal. */
int command_exit_code(const struct command *command);
/* Ends one that was never released; accepts one that never started. */
void command_done(struct command *command);
