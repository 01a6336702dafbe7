/*
 * Of a process's environment, what is said to profd, and nothing else: passwords stand
 * in environments.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "daemon/keeper/peek.h"

/* The variables of @pid whose names begin with PROFD_, each with its end; as many as
 * find room. @stat is its /proc/PID/stat, which says where they lie: to those who may
 * know. At most PROFD_MAX_ENVIRON_BYTES are looked at. Their bytes, or -errno: -EACCES,
 * -EBADMSG, or as peek_read(). */
ssize_t environment_read(struct peek *peek, pid_t pid, const char *stat, char *ret, size_t size);

/* Adds those of @text, of which a last string without an end is none, to the *n bytes
 * that are in @ret. Returns the bytes of @text up to the end of its last string. */
size_t environment_pick(const char *text, size_t bytes, char *ret, size_t size, size_t *n);
