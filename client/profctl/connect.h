/*
 * Talking to profd: one request, then replies until `done` or `error`.
 *
 * Functions here report what goes wrong themselves, in one line, and return
 * -errno only for the caller to stop.
 */
#pragma once

#include <stdint.h>

#include "client/profctl/profctl.h"
#include "proto/control.pb-c.h"

/* Connects to profd. Returns the descriptor, or -errno: exit PROFCTL_NO_DAEMON. */
int connect_open(const struct profctl *ctl);

/* Sends @request. Returns 0 or -errno. */
int connect_send(int fd, const Profd__Request *request);

struct reply {
	Profd__Reply *message;
	int fd; /* the file that came with it; -1: none */
};

/* The next reply. Returns 0 or -errno: the connection is of no more use. */
int connect_receive(int fd, struct reply *ret_reply);
void reply_done(struct reply *reply);

/* Connects, asks, and hands every reply but `done` and `error` to @take, which
 * returns 0, or -errno, reported, to stop. For questions that a daemon that is
 * well answers at once: one that does not is given up. Returns an exit code. */
int connect_ask(const struct profctl *ctl, const Profd__Request *request,
		int (*take)(const Profd__Reply *reply, void *userdata), void *userdata);
