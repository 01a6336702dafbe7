/*
 * A target decides which files it maps and what their paths lead to. It may map
 * a file of a file system that it serves itself, and replace a path by a FIFO
 * or a link to a tape drive between two looks. So a path is opened in three
 * steps: O_PATH, which takes hold of the inode without calling its driver; a
 * look at what was taken hold of; and only then the real opening, through
 * /proc/self/fd, of that same inode.
 *
 * The look must not block either. statx() with AT_STATX_DONT_SYNC answers from
 * what the kernel has in memory, so a dead server cannot delay it. Whether a
 * file system is FUSE cannot be asked of it (statfs would be passed on to the
 * server), so its mount is looked up in the list of mounts. One that is not
 * listed, because it was detached, is taken for the worst.
 */
#include "daemon/keeper/open.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/keeper/walk.h"
#include "profd/base.h"

static int take_path(int dir_fd, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOSYS)
		return walk_below(dir_fd, path, resolve & RESOLVE_IN_ROOT);
	return fd < 0 ? -errno : (int)fd;
}

int open_below(int dir_fd, const char *path)
{
	return take_path(dir_fd, path, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int open_strictly_below(int dir_fd, const char *path)
{
	return take_path(dir_fd, path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* A line of mountinfo: "ID PARENT MAJOR:MINOR ... - TYPE SOURCE OPTIONS". */
static bool mount_is_plain(pid_t pid, uint64_t mount_id)
{
	_cleanup_free_ char *line = NULL;
	bool plain = false;
	char path[64];
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (getline(&line, &room, f) > 0) {
		const char *dash;

		if (strtoull(line, NULL, 10) != mount_id)
			continue;
		dash = strstr(line, " - ");
		plain = dash && strncmp(dash + 3, "fuse", 4) != 0;
		break;
	}
	fclose(f);
	return plain;
}

/* All memfds live on one mount inside the kernel, which no list shows: a memfd
 * of our own tells its device. */
static bool is_memfd_device(const struct statx *st)
{
	_cleanup_close_ int fd = memfd_create("profd-probe", MFD_CLOEXEC);
	struct statx own;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &own) < 0)
		return false;
	return own.stx_dev_major == st->stx_dev_major && own.stx_dev_minor == st->stx_dev_minor;
}

/* A block device (a major number) is read by the kernel itself, or was mounted
 * by root; the rest is looked up. */
static bool is_served_by_user(pid_t pid, const struct statx *st)
{
	if (st->stx_dev_major != 0 || is_memfd_device(st))
		return false;
	if (!(st->stx_mask & STATX_MNT_ID))
		return true;
	return !mount_is_plain(pid, st->stx_mnt_id) && !mount_is_plain(getpid(), st->stx_mnt_id);
}

/* One step of a walk: @name in the directory @dir_fd. */
static int take_step(int dir_fd, const char *name, size_t n)
{
	char copy[NAME_MAX + 1];

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	if (n == 2 && name[0] == '.' && name[1] == '.')
		return -EINVAL;
	memcpy(copy, name, n);
	copy[n] = '\0';
	return open_strictly_below(dir_fd, copy);
}

int open_carefully(pid_t pid, int root_fd, const char *path)
{
	_cleanup_close_ int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
	uint64_t mount_id = UINT64_MAX;
	struct statx st;
	int next;

	if (fd < 0)
		return -errno;
	for (;;) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			return take_fd(&fd);
		if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID,
			  &st) < 0)
			return -errno;
		if (!S_ISDIR(st.stx_mode))
			return -ENOTDIR;
		/* The list of mounts is long, and most steps stay on one of them. */
		if (st.stx_mnt_id != mount_id && is_served_by_user(pid, &st))
			return -EINVAL;
		mount_id = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : UINT64_MAX;
		next = take_step(fd, path, n);
		if (next < 0)
			return next;
		close(fd);
		fd = next;
		path += n;
	}
}

int open_regular(pid_t pid, int path_fd, int flags)
{
	char link[64];
	struct statx st;
	int fd;

	if (statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) <
	    0)
		return -errno;
	if (!S_ISREG(st.stx_mode) || is_served_by_user(pid, &st))
		return -EINVAL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	fd = open(link, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Nothing is parsed: a few bytes at fixed places are compared. */
static bool is_object(const uint8_t head[EI_NIDENT + 2])
{
	unsigned type = head[EI_NIDENT] | head[EI_NIDENT + 1] << 8;

	if (head[EI_DATA] == ELFDATA2MSB)
		type = type >> 8 | (type & 0xff) << 8;
	return memcmp(head, ELFMAG, SELFMAG) == 0 &&
	       (type == ET_REL || type == ET_EXEC || type == ET_DYN);
}

int open_object(pid_t pid, int path_fd)
{
	_cleanup_close_ int fd = open_regular(pid, path_fd, O_RDONLY);
	uint8_t head[EI_NIDENT + 2];

	if (fd < 0)
		return fd;
	if (pread(fd, head, sizeof(head), 0) != sizeof(head) || !is_object(head))
		return -ENOEXEC;
	return take_fd(&fd);
}
