/*
 * A process, and a thread, is a directory whose name is a number. Other names
 * are the kernel's own.
 */
#include "daemon/proc/pids.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "profd/base.h"

/* 0: @name is no number of a process. */
static pid_t parse_pid(const char *name)
{
	char *end;
	long pid;

	if (*name < '1' || *name > '9')
		return 0;
	pid = strtol(name, &end, 10);
	return pid <= INT32_MAX && *end == '\0' ? (pid_t)pid : 0;
}

/* Takes over @fd. */
static int each_number(int fd, bool (*each)(pid_t pid, void *userdata), void *userdata)
{
	struct dirent *entry;
	bool more = true;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (more && (entry = readdir(dir))) {
		pid_t pid = parse_pid(entry->d_name);

		if (pid > 0)
			more = each(pid, userdata);
	}
	closedir(dir);
	return 0;
}

struct every {
	void (*each)(pid_t pid, void *userdata);
	void *userdata;
};

static bool call_each(pid_t pid, void *userdata)
{
	const struct every *e = userdata;

	e->each(pid, e->userdata);
	return true;
}

int process_each_pid(struct keeper *keeper, void (*each)(pid_t pid, void *userdata), void *userdata)
{
	struct every every = {each, userdata};

	return each_number(keeper_open_machine(keeper, KEEPER_PROC), call_each, &every);
}

int process_each_thread(struct keeper *keeper, pid_t pid, bool (*each)(pid_t tid, void *userdata),
			void *userdata)
{
	return each_number(keeper_open_file(keeper, pid, KEEPER_TASK), each, userdata);
}
