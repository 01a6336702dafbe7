/*
 * A profd of our own, for one command: started over a socket in a directory
 * that only we can enter, and gone when we let go of it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct private_options {
	const char *output;    /* directory for profiles; NULL: none are stored */
	const char *event;     /* NULL: profd's default */
	uint64_t frequency_hz; /* 0: profd's default */
	const sigset_t *mask;  /* for the child */
	int signals_fd;
};

struct private_daemon {
	pid_t pid; /* 0: none */
	char *dir; /* removed at the end */
	char *socket;
	char *output; /* absolute */
};

/* Starts profd and waits until its socket listens. Returns 0, or -errno,
 * reported; -EINTR: a signal came, *ret_signal. */
int private_start(const struct private_options *options, struct private_daemon *ret_daemon,
		  int *ret_signal);

/* Waits for profd to end, which it does once the connection that watched is
 * closed; helps if it does not, or at once if there was no such connection
 * (@watched false). Removes what it left. Accepts one that never started. */
void private_stop(struct private_daemon *daemon, bool watched);
