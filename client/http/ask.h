/*
 * Asking profd, over its control socket, for whoever asks us: one connection a
 * question, with the rights of the one who asks, and given up when they leave.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/array.h"
#include "proto/control.pb-c.h"

struct ask {
	const char *socket; /* profd's */
	bool narrowed;	    /* with no more than the rights of */
	uid_t uid;
	int client_fd; /* of the one who asks; -1: none. Its hang-up ends the question */
};

struct ask_file {
	uint32_t pid; /* 0: of the machine */
	char comm[64];
	int fd; /* open, from its beginning */
};

struct answer {
	int error;	/* 0, or the errno that profd answered with, or why it did not: */
	char why[1024]; /* one line */
	ARRAY_TABLE(struct ask_file) files;
	ARRAY_TABLE(Profd__Reply *) replies; /* of targets, of those that ended, of the state */
};

/* Errors that are ours: ECONNREFUSED profd cannot be reached; ETIMEDOUT; EPIPE the
 * one who asks has left; EPROTO it was cut short or makes no sense. */

struct ask_how {
	int timeout_ms;	     /* of silence */
	int ended_fd;	     /* a pidfd: when its process ends, so does the measurement; or -1 */
	const char *stopped; /* then: the comment */
};

/* Always gives an answer, to be done with. */
void ask(const struct ask *who, Profd__Request *request, const struct ask_how *how,
	 struct answer *ret_answer);
void answer_done(struct answer *answer);
