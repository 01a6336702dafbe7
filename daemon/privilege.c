/*
 * A directory is opened once and from then on known by its descriptor, so that nothing
 * can be put in its place. It belongs to root while its entries are looked at and given
 * away, the directory itself last: until then nobody else can change it.
 */
#include "daemon/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/store/store.h"
#include "profd/base.h"

#define USER "profd"

/* Reserved by the distributions and given to nobody: a process of `nobody` would share
 * its files with every other one. */
#define UNNAMED_ID 65533

static int parse_numbers(const char *text, struct engine_user *ret_user)
{
	unsigned uid, gid;
	int end = 0;

	if (sscanf(text, "%u:%u%n", &uid, &gid, &end) != 2 || text[end] != '\0')
		return -EINVAL;
	*ret_user = (struct engine_user){uid, gid};
	return 0;
}

int privilege_find_user(const char *name, struct engine_user *ret_user, char *why, size_t why_size)
{
	struct engine_user user = {UNNAMED_ID, UNNAMED_ID};
	const struct passwd *entry;

	if (!name || parse_numbers(name, &user) < 0) {
		errno = 0;
		entry = getpwnam(name ?: USER);
		if (!entry && name) {
			snprintf(why, why_size, "--user %s: no such user, and not UID:GID", name);
			return -ENOENT;
		}
		if (entry)
			user = (struct engine_user){entry->pw_uid, entry->pw_gid};
	}
	if (user.uid == 0 || user.gid == 0) {
		snprintf(why, why_size, "--user %s: this is root: choose another", name ?: USER);
		return -EINVAL;
	}
	*ret_user = user;
	return 0;
}

/* ---- directories */

/* A directory that is a file system of its own has one more that stays root's. */
static bool is_of_file_system(const char *name, const struct stat *st)
{
	return S_ISDIR(st->st_mode) && strcmp(name, "lost+found") == 0;
}

/* What profd may have left there, as an older one did that was root. */
static bool is_ours(const char *name, const struct stat *st)
{
	struct store_parts parts;

	if (S_ISSOCK(st->st_mode) || is_of_file_system(name, st))
		return true;
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && store_parse_name(name, &parts);
}

static int check_entry(int dir_fd, const char *name, const struct engine_user *user)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return is_ours(name, &st) ? 0 : -ENOTEMPTY;
}

static int give_entry(int dir_fd, const char *name, const struct engine_user *user)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (is_of_file_system(name, &st))
		return 0;
	return fchownat(dir_fd, name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int each_entry(int dir_fd, const struct engine_user *user,
		      int (*each)(int dir_fd, const char *name, const struct engine_user *user))
{
	int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct dirent *d;

	if (!dir) {
		r = -errno;
		profd_closep(&own);
		return r;
	}
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = each(dir_fd, d->d_name, user);
	closedir(dir);
	return r;
}

static int give(int fd, const struct engine_user *user)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == user->uid || (st.st_mode & S_IWOTH))
		return 0;
	if (st.st_uid != 0)
		return -EPERM;
	r = each_entry(fd, user, check_entry);
	if (r == 0)
		r = each_entry(fd, user, give_entry);
	if (r < 0)
		return r;
	return fchown(fd, user->uid, user->gid) < 0 ? -errno : 0;
}

static const char *explain(int error)
{
	switch (-error) {
	case ENOTEMPTY:
		return "is root's, and holds other files than profiles";
	case EPERM:
		return "is another user's";
	case ELOOP:
	case ENOTDIR:
		return "is a link or no directory";
	default:
		return strerror(-error);
	}
}

int privilege_give_directory(const char *path, mode_t mode, const struct engine_user *user,
			     char *why, size_t why_size)
{
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? -errno : give(fd, user);
	}
	if (r < 0)
		snprintf(why, why_size, "%s: %s: choose another directory", path, explain(r));
	return r;
}
