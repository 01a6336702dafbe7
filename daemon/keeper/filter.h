/*
 * A filter of system calls, put onto this process for good: the keeper's, the engine's
 * and the scribe's are made here. Whoever loads one has set PR_SET_NO_NEW_PRIVS.
 */
#pragma once

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sanitizers call what they please, and reserve more memory than any limit: a program
 * built with one has no filter, and what would not go without one is left out, too. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FILTER_SANITIZED true
#else
#define FILTER_SANITIZED false
#endif

/* @add_rules adds to a filter under which all else meets @otherwise, an SCMP_ACT. Returns
 * 0 or -errno, the kernel's own: -EINVAL and -ENOSYS without filters, -EPERM where an
 * outer one forbids it. */
int filter_load(uint32_t otherwise, int (*add_rules)(scmp_filter_ctx filter));

/* For @add_rules: each of these calls meets @action. Returns 0 or -errno. */
int filter_add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n);
