/*
 * Signals as a descriptor, so that waiting for profd and for a signal is one
 * poll(), and no code runs in a handler.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Blocks @signals, and has them told through the descriptor returned
 * (non-blocking), or -errno. @ret_old: the mask before, for children; may be
 * NULL. */
int signals_open(const int *signals, size_t n_signals, sigset_t *ret_old);

struct signal_taken {
	int number;
	bool from_process; /* by kill(), not by the terminal or the kernel */
};

/* The next one pending. Returns 0 or -EAGAIN. */
int signals_take(int signals_fd, struct signal_taken *ret_signal);

/* Waits until @fd is readable or has ended: 0. -EINTR: there came a signal
 * other than SIGCHLD, *ret_number. -ETIMEDOUT. @timeout_ms < 0: none. */
int signals_wait(int signals_fd, int fd, int timeout_ms, int *ret_number);
