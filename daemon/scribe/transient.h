/*
 * Errors of the moment, which say nothing about the file that was being read: what was
 * found, or not found, because of one is not kept beyond the job.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

/* @r: 0 or -errno. */
static inline bool is_transient(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EINTR || r == -EAGAIN ||
	       r == -EIO;
}
