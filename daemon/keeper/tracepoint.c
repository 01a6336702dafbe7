/*
 * Where tracefs has the number of a tracepoint. libpfm4 looks for tracepoints where
 * debugfs is mounted. Machines of today mount tracefs by itself, at a place of its
 * own, and debugfs not at all. Either is root's alone.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/remote.h"
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
	return n > 0 && n < KEEPER_TRACEPOINT_BYTES;
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

int keeper_open_tracepoint(struct keeper *keeper, const char *system, const char *name)
{
	_cleanup_close_ int events_fd = -1;
	char path[300];
	int fd;

	if (keeper_socket(keeper) >= 0)
		return remote_open_tracepoint(keeper, system, name);
	if (!is_name(system) || !is_name(name))
		return -EINVAL;
	events_fd = open_events();
	if (events_fd < 0)
		return events_fd;
	snprintf(path, sizeof(path), "%s/%s/id", system, name);
	fd = openat(events_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
	return fd;
}
