/*
 * The keeper's end of the socket: a request is checked, decided upon, carried out with
 * this process's privileges, and answered. Whoever asks is taken for hostile.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

struct serve;

/* @keeper, which carries out what is granted, stays the caller's. */
int serve_new(struct keeper *keeper, struct serve **ret_serve);
void serve_free(struct serve *s);

/* Another engine asks from now on: what the last one had lent is let go of. */
void serve_start_engine(struct serve *s, pid_t engine);

/* What the answer to WIRE_DESCRIBE says beside numbers. */
void serve_describe(struct serve *s, pid_t starter, const char *notes);

/* Bytes of an answer at *ret_answer, until the next call; and what goes with them, or
 * -1, the caller's. @fd, or -1, came with the request, and stays the caller's. Never
 * fails: what cannot be had, or may not, is an answer too. */
size_t serve_answer(struct serve *s, const void *request, size_t bytes, int fd,
		    const void **ret_answer, int *ret_fd);

/* Receives one request from @socket, which is readable, and answers it. Returns 0, or
 * -errno: there is nobody there any more, or nobody who reads the answers. */
int serve_socket(struct serve *s, int socket);
