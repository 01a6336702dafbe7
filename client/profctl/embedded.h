/*
 * profd-http for one command: a child that serves what the private profd sees, and
 * ends when we let go of it.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

struct embedded_options {
	const char *address; /* to listen on */
	const char *socket;  /* of the private profd */
	const sigset_t *mask;
	int signals_fd;
};

/* Starts it and waits until it listens; it says itself where. Returns 0 and its pid, or
 * -errno, reported; -EINTR: a signal came, *ret_signal. */
int embedded_start(const struct embedded_options *options, pid_t *ret_pid, int *ret_signal);

/* @pid 0: there is none. */
void embedded_stop(pid_t pid);
