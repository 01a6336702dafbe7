/*
 * The process that starts engines, for the keeper, which gives up the right to do so.
 * It is forked off before that, becomes the engine's user at once, and can from then
 * on start nothing that has more than it has itself. It starts an engine, and another
 * one when that is killed by a signal; when one ends by itself, or they die too often,
 * it ends, with the engine's exit status or with failure. Meanwhile it keeps what the
 * next engine is to have (shelf.h).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* From starter to keeper: an engine was started, its socket comes along; it was
 * killed, or there is none. From keeper to starter: a signal for the engine, in @number. */
enum starter_kind {
	STARTER_STARTED = 1,
	STARTER_KILLED,
	STARTER_FAILED, /* none could be started: -errno in @number */
	STARTER_SIGNAL,
};

struct starter_message {
	uint32_t kind;
	int32_t pid;
	int32_t number; /* of the signal; of the error */
};

struct starter_config {
	uid_t uid;
	gid_t gid;
	char *const *argv; /* of the program; the engine gets "--engine FD --shelf FD" first */
};

/* Forks it. Returns 0 or -errno; *ret_socket is the keeper's end, *ret_pid its child. */
int starter_start(const struct starter_config *config, pid_t *ret_pid, int *ret_socket);
