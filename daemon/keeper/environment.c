/*
 * The kernel's file of it would be read by whoever asks, and could make him wait, where
 * the memory is served by another process; so it is read as stacks are (peek.h).
 */
#include "daemon/keeper/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"

#define OURS	    "PROFD_"
#define START_FIELD 50 /* of stat; the next is the end */

static int find(const char *stat, uint64_t *ret_start, uint64_t *ret_end)
{
	const char *at = strrchr(stat, ')');

	for (int field = 2; at && field < START_FIELD; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %" SCNu64 " %" SCNu64, ret_start, ret_end) != 2)
		return -EBADMSG;
	return *ret_start == 0 || *ret_end < *ret_start ? -EACCES : 0;
}

size_t environment_pick(const char *text, size_t bytes, char *ret, size_t size, size_t *n)
{
	size_t at = 0;

	for (;;) {
		size_t length = strnlen(text + at, bytes - at);

		if (at + length >= bytes)
			return at;
		if (length < size - *n && strncmp(text + at, OURS, strlen(OURS)) == 0) {
			memcpy(ret + *n, text + at, length + 1);
			*n += length + 1;
		}
		at += length + 1;
	}
}

/* Of the @got bytes of @text, which begins a string or, @within, in the midst of one: how
 * many are done with. A string that has no end in so many is too long for any of ours. */
static size_t pass(const char *text, size_t got, bool *within, char *ret, size_t size, size_t *n)
{
	size_t done;

	if (*within) {
		done = strnlen(text, got);
		*within = done == got;
		return *within ? got : done + 1;
	}
	done = environment_pick(text, got, ret, size, n);
	*within = done == 0;
	return *within ? got : done;
}

ssize_t environment_read(struct peek *peek, pid_t pid, const char *stat, char *ret, size_t size)
{
	const uint8_t *bytes = NULL;
	uint64_t start, end;
	bool within = false;
	size_t n = 0;
	int r = find(stat, &start, &end);

	if (r < 0)
		return r;
	end = min(end, start + PROFD_MAX_ENVIRON_BYTES);
	while (start < end) {
		size_t wanted = min((size_t)(end - start), (size_t)PEEK_BYTES);
		ssize_t got = peek_read(peek, pid, start, wanted, &bytes);

		if (got <= 0)
			return got < 0 ? got : -EFAULT;
		start += pass((const char *)bytes, (size_t)got, &within, ret, size, &n);
	}
	return (ssize_t)n;
}
