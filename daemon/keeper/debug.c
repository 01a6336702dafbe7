/*
 * Opening debug files. Which one to open is said by numbers (a build-id), or by
 * a name out of a file that a target mapped. The name is the dangerous one: a
 * file may call its debug file "../../etc/shadow", or lie in a directory where
 * that name is a link. So a name has no directories in it, the directory is one
 * of ours or the one that the file was mapped from, and the last steps, from that
 * directory on, pass no symbolic link: openat2() sees to it in one call, so that
 * nothing can be exchanged between a look and the opening.
 *
 * The directory that a file was mapped from is the target's choice, even below
 * its own root: it may mount things there. What is left to choose is then a file
 * of that very directory. Its owner tells whether the target could have written the
 * same names into the file itself: root wrote it, for everyone to read, or the one
 * who owns the file that the names are for. In a directory of ours it is root, or
 * the directory's owner.
 *
 * A split unit's file is named by a path. By the same rule of owners it makes no
 * difference what directories are in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/keeper/keeper-state.h"
#include "daemon/keeper/open.h"
#include "daemon/keeper/remote.h"
#include "profd/base.h"

#define SPLIT_SUFFIX ".dwo"

static const char *const standard_dirs[] = {"/usr/lib/debug", "/usr/local/lib/debug"};

int keeper_add_debug_dir(struct keeper *keeper, const char *path)
{
	char *copy;

	if (keeper_socket(keeper) >= 0)
		return -EPERM;
	if (path[0] != '/')
		return -EINVAL;
	if (keeper->n_debug_dirs == PROFD_MAX_DEBUG_DIRS)
		return -ENOSPC;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(keeper->debug_dirs + 1, keeper->debug_dirs,
		keeper->n_debug_dirs * sizeof(*keeper->debug_dirs));
	keeper->debug_dirs[0] = copy;
	keeper->n_debug_dirs++;
	return 0;
}

void keeper_forget_debug_dirs(struct keeper *keeper)
{
	while (keeper->n_debug_dirs > 0)
		free(keeper->debug_dirs[--keeper->n_debug_dirs]);
}

static bool is_beside(const struct keeper_debug *wanted)
{
	return wanted->place == KEEPER_DEBUG_BESIDE ||
	       wanted->place == KEEPER_DEBUG_BESIDE_HIDDEN || wanted->place == KEEPER_DEBUG_SPLIT;
}

/* Added directories are this machine's; in a target's root there are only the
 * standard ones. NULL: there are no more. */
static const char *find_dir(const struct keeper *keeper, const struct keeper_debug *wanted)
{
	unsigned added = wanted->in_target ? 0 : keeper->n_debug_dirs;

	if (wanted->dir < added)
		return keeper->debug_dirs[wanted->dir];
	if (wanted->dir - added < ARRAY_SIZE(standard_dirs))
		return standard_dirs[wanted->dir - added];
	return NULL;
}

static bool is_plain_name(const char *name, size_t n)
{
	return n > 0 && n <= PROFD_MAX_DEBUG_NAME && !memchr(name, '/', n) &&
	       !(n == 1 && name[0] == '.') && !(n == 2 && name[0] == '.' && name[1] == '.');
}

/* One name, or one directory and a name. */
static bool is_dwz_name(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : strlen(name);

	return is_plain_name(name, n) && (!slash || is_plain_name(slash + 1, strlen(slash + 1)));
}

/* Absolute, of plain names. */
static bool is_split_path(const char *path)
{
	size_t n = strlen(path), part;

	if (path[0] != '/' || n >= PROFD_MAX_PATH || n < strlen(SPLIT_SUFFIX) ||
	    strcmp(path + n - strlen(SPLIT_SUFFIX), SPLIT_SUFFIX) != 0)
		return false;
	for (; *path; path += part) {
		path += strspn(path, "/");
		part = strcspn(path, "/");
		if (!is_plain_name(path, part) && !(part == 1 && path[0] == '.'))
			return false;
	}
	return true;
}

static int check_name(const struct keeper_debug *wanted)
{
	if (!wanted->name)
		return -ENOENT;
	if (wanted->place == KEEPER_DEBUG_DWZ)
		return is_dwz_name(wanted->name) ? 0 : -EINVAL;
	if (wanted->place == KEEPER_DEBUG_SPLIT || wanted->place == KEEPER_DEBUG_SPLIT_BELOW)
		return is_split_path(wanted->name) ? 0 : -EINVAL;
	return is_plain_name(wanted->name, strlen(wanted->name)) ? 0 : -EINVAL;
}

static int format_id(const struct keeper_debug *wanted, const char *suffix, char *ret, size_t size)
{
	size_t n = 0;

	if (wanted->build_id_bytes < 2)
		return -ENOENT;
	n += (size_t)snprintf(ret, size, ".build-id/%02x/", wanted->build_id[0]);
	for (size_t i = 1; i < wanted->build_id_bytes && n < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%02x", wanted->build_id[i]);
	if (n < size)
		n += (size_t)snprintf(ret + n, size - n, "%s", suffix);
	return n < size ? 0 : -EINVAL;
}

/* The directory of @path, as a format's precision. */
static int dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash > path ? (int)(slash - path) : 0;
}

/* What to open, below DIR, or below the root for files beside the one they are for. */
static int format_place(const struct keeper_debug *wanted, char *ret, size_t size)
{
	const char *path = wanted->path && wanted->path[0] == '/' ? wanted->path : NULL;
	int n = -1, r;

	if (wanted->place == KEEPER_DEBUG_BY_ID)
		return format_id(wanted, ".debug", ret, size);
	if (wanted->place == KEEPER_DEBUG_PROGRAM_BY_ID)
		return format_id(wanted, "", ret, size);
	r = check_name(wanted);
	if (r < 0)
		return r;
	switch (wanted->place) {
	case KEEPER_DEBUG_BY_ID:
	case KEEPER_DEBUG_PROGRAM_BY_ID:
		break;
	case KEEPER_DEBUG_DWZ:
		n = snprintf(ret, size, ".dwz/%s", wanted->name);
		break;
	case KEEPER_DEBUG_IN:
	case KEEPER_DEBUG_SPLIT:
	case KEEPER_DEBUG_SPLIT_BELOW:
		n = snprintf(ret, size, "%s", wanted->name);
		break;
	case KEEPER_DEBUG_BELOW:
	case KEEPER_DEBUG_BESIDE:
		if (!path)
			return -ENOENT;
		n = snprintf(ret, size, "%.*s/%s", dir_length(path), path, wanted->name);
		break;
	case KEEPER_DEBUG_BESIDE_HIDDEN:
		if (!path)
			return -ENOENT;
		n = snprintf(ret, size, "%.*s/.debug/%s", dir_length(path), path, wanted->name);
		break;
	}
	return n >= 0 && (size_t)n < size ? 0 : -EINVAL;
}

/* The target's root, if it is another than ours. */
static int take_other_root(struct keeper *keeper, pid_t pid)
{
	_cleanup_close_ int fd = keeper_take_root(keeper, pid);
	struct stat own, other;

	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &other) < 0 || stat("/", &own) < 0)
		return -errno;
	if (own.st_dev == other.st_dev && own.st_ino == other.st_ino)
		return -ENOENT;
	return take_fd(&fd);
}

/* In one of our own directories nobody else decides what is served. */
static int take_from_our_dir(const char *dir, const char *path, uid_t *ret_owner)
{
	_cleanup_close_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_owner = st.st_uid;
	return open_strictly_below(fd, path + strspn(path, "/"));
}

static int take_from_target_dir(struct keeper *keeper, pid_t pid, const char *dir, const char *path)
{
	_cleanup_close_ int root_fd = take_other_root(keeper, pid), fd = -1;

	if (root_fd < 0)
		return root_fd;
	fd = open_carefully(pid, root_fd, dir);
	return fd < 0 ? fd : open_carefully(pid, fd, path);
}

/* Below the root of whoever has the file mapped; ours if that one has gone. */
static int take_beside(struct keeper *keeper, pid_t pid, const char *path)
{
	_cleanup_close_ int root_fd = pid > 0 ? keeper_take_root(keeper, pid) : -ESRCH;

	if (root_fd >= 0)
		return open_carefully(pid, root_fd, path);
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root_fd < 0 ? -errno : open_carefully(getpid(), root_fd, path);
}

/* *ret_owner: who besides root may own what was taken. */
static int take_place(struct keeper *keeper, const struct keeper_debug *wanted, const char *path,
		      uid_t *ret_owner)
{
	const char *dir = find_dir(keeper, wanted);

	*ret_owner = wanted->owner;
	if (is_beside(wanted))
		return take_beside(keeper, wanted->pid, path);
	if (wanted->in_target)
		return take_from_target_dir(keeper, wanted->pid, dir, path);
	return take_from_our_dir(dir, path, ret_owner);
}

static bool is_trusted(const struct keeper_debug *wanted, const struct statx *st, uid_t owner)
{
	if (st->stx_uid == 0)
		return !is_beside(wanted) || (st->stx_mode & S_IROTH);
	return st->stx_uid == owner;
}

int keeper_open_debug(struct keeper *keeper, const struct keeper_debug *wanted)
{
	char path[PROFD_MAX_PATH + PROFD_MAX_DEBUG_NAME];
	_cleanup_close_ int path_fd = -1;
	struct statx st;
	uid_t owner;
	int r;

	if (keeper_socket(keeper) >= 0)
		return remote_open_debug(keeper, wanted);
	if (!is_beside(wanted) && !find_dir(keeper, wanted))
		return -ERANGE;
	r = format_place(wanted, path, sizeof(path));
	if (r < 0)
		return r;
	path_fd = take_place(keeper, wanted, path, &owner);
	if (path_fd < 0)
		return path_fd == -ENOTDIR ? -ENOENT : path_fd;
	if (statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_UID | STATX_MODE, &st) < 0)
		return -errno;
	if (!is_trusted(wanted, &st, owner))
		return -EACCES;
	return open_object(wanted->pid > 0 ? wanted->pid : getpid(), path_fd);
}
