/*
 * Files that a target has mapped, chosen or written: by the mapping itself, or, on
 * machines that do not let us follow map_files, by a path that is walked inside the
 * target's own root.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keeper/keeper-state.h"
#include "daemon/keeper/open.h"
#include "daemon/keeper/remote.h"
#include "profd/base.h"
#include "profd/heap_table.h"
#include "proto/heap_name.h"

/* map_files has a link for each mapping, by its exact bounds, to the very file
 * that is mapped, whatever its path leads to by now. Following it takes
 * CAP_CHECKPOINT_RESTORE. */
static int take_map_file(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, start, end);
	fd = openat(keeper->proc_fd, path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int keeper_take_root(struct keeper *keeper, pid_t pid)
{
	char root[64];
	int fd;

	snprintf(root, sizeof(root), "%d/root", (int)pid);
	fd = openat(keeper->proc_fd, root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The path in the target's root; in ours when the target has gone. */
static int take_path(struct keeper *keeper, pid_t pid, const char *path)
{
	_cleanup_close_ int root_fd = keeper_take_root(keeper, pid);

	if (root_fd == -ENOENT || root_fd == -ESRCH) {
		root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root_fd < 0)
			return -errno;
	}
	if (root_fd < 0)
		return root_fd;
	return open_below(root_fd, path);
}

int keeper_open_mapped(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end,
		       const char *path)
{
	_cleanup_close_ int path_fd = -1;

	if (keeper_is_remote(keeper))
		return remote_open_mapped(keeper, pid, start, end, path);
	if (pid <= 0)
		return -EINVAL;
	path_fd = take_map_file(keeper, pid, start, end);
	if (path_fd < 0 && path && path[0] == '/')
		path_fd = take_path(keeper, pid, path);
	if (path_fd < 0)
		return path_fd;
	return open_object(pid, path_fd);
}

int keeper_open_program(struct keeper *keeper, pid_t pid)
{
	_cleanup_close_ int path_fd = -1;
	char path[64];

	if (keeper_is_remote(keeper))
		return remote_open_program(keeper, pid);
	if (pid <= 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "%d/exe", (int)pid);
	path_fd = openat(keeper->proc_fd, path, O_PATH | O_CLOEXEC);
	return path_fd < 0 ? -errno : open_object(pid, path_fd);
}

/* Asked of the file that is open, so that nothing can be put in its place. */
static int check_perf_map(int fd, uid_t uid, uint64_t max_bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != uid && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EACCES;
	return (uint64_t)st.st_size > max_bytes ? -EFBIG : 0;
}

int keeper_open_perf_map(struct keeper *keeper, pid_t pid, pid_t inner_pid, uid_t uid,
			 uint64_t max_bytes)
{
	_cleanup_close_ int root_fd = -1, tmp_fd = -1, path_fd = -1, fd = -1;
	char name[64];
	int r;

	if (keeper_is_remote(keeper))
		return remote_open_perf_map(keeper, pid, inner_pid, uid, max_bytes);
	if (pid <= 0 || inner_pid <= 0)
		return -EINVAL;
	root_fd = keeper_take_root(keeper, pid);
	if (root_fd < 0)
		return root_fd;
	tmp_fd = open_below(root_fd, "/tmp");
	if (tmp_fd < 0)
		return tmp_fd;
	snprintf(name, sizeof(name), "perf-%d.map", (int)inner_pid);
	/* A link is opened as such, and is no regular file. */
	path_fd = openat(tmp_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	fd = open_regular(pid, path_fd, O_RDONLY);
	if (fd < 0)
		return fd;
	r = check_perf_map(fd, uid, max_bytes);
	return r < 0 ? r : take_fd(&fd);
}

static bool is_called_table(int fd)
{
	char link[64], is[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, is, sizeof(is) - 1) > 0 && heap_name_is_mapped(is, NULL);
}

int keeper_open_table(struct keeper *keeper, pid_t pid, uint64_t start, uint64_t end)
{
	const int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;
	_cleanup_close_ int path_fd = -1, fd = -1;
	int seals;

	if (keeper_is_remote(keeper))
		return remote_open_table(keeper, pid, start, end);
	if (pid <= 0)
		return -EINVAL;
	path_fd = take_map_file(keeper, pid, start, end);
	if (path_fd < 0)
		return path_fd;
	fd = open_regular(pid, path_fd, O_RDWR);
	if (fd < 0)
		return fd;
	/* Only memfds can be sealed against changing their size: a file that the
	 * target would have us write to ends here, on tmpfs too. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & size_seals) != size_seals || !is_called_table(fd))
		return -EINVAL;
	return take_fd(&fd);
}
