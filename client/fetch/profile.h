/*
 * One profile from a pprof endpoint, Go's own or profd-http's.
 */
#pragma once

#include <stdint.h>

/* Writes what @url answers, @max_bytes at most, to standard output. Returns 0, or -errno
 * after one line on standard error that says why, without @url and the password in it. */
int profile_fetch(const char *url, uint64_t max_bytes);
