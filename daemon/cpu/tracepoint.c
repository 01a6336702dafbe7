/*
 * libpfm4 looks for tracepoints where debugfs is mounted. Machines of today
 * mount tracefs by itself, at a place of its own, and debugfs not at all.
 */
#include "daemon/cpu/tracepoint.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

static const char *const mounts[] = {
	"/sys/kernel/tracing/events",
	"/sys/kernel/debug/tracing/events",
};

/* Nothing that could lead out of the directory of events. */
static bool is_name(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (!isalnum((unsigned char)s[n]) && s[n] != '_' && s[n] != '-')
			return false;
	return n > 0 && n < 128;
}

static int open_events(void)
{
	int error = -ENXIO;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		int fd = open(mounts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno == EACCES || errno == EPERM)
			error = -EACCES;
	}
	return error;
}

int tracepoint_find(const char *system, const char *name, uint64_t *ret_id)
{
	_cleanup_close_ int events_fd = -1, fd = -1;
	char path[300], text[32] = "";
	char *end;
	uint64_t id;

	if (!is_name(system) || !is_name(name))
		return -EINVAL;
	events_fd = open_events();
	if (events_fd < 0)
		return events_fd;
	snprintf(path, sizeof(path), "%s/%s/id", system, name);
	fd = openat(events_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return -EIO;
	id = strtoull(text, &end, 10);
	if (end == text)
		return -EIO;
	*ret_id = id;
	return 0;
}
