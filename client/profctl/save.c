/*
 * Both ways end in publish_link(), which names only a file whose data is on the
 * disk. To replace a file it is named twice: first with a name that nobody
 * uses, then by rename() over the old one.
 *
 * A source is a file or a memfd. Its offset is shared with profd, so it is read
 * with pread(); its size may not be what it was, so it is read to its end.
 */
#include "client/profctl/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profd/base.h"
#include "proto/publish.h"

#define SAVE_MODE	 0640
#define SAVE_CHUNK_BYTES (64 * 1024)
/* No profile is as large; a source that has no end must not fill the disk. */
#define SAVE_MAX_BYTES	 (1LL << 32)

int save_open_dir(const char *dir)
{
	_cleanup_close_ int fd = -1;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Not the real uid's rights, which is what access() looks at. */
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	return take_fd(&fd);
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

static int copy(int source, int fd)
{
	_cleanup_free_ char *chunk = malloc(SAVE_CHUNK_BYTES);
	off_t offset = 0;
	ssize_t n;
	int r;

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		n = pread(source, chunk, SAVE_CHUNK_BYTES, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if (offset + n > SAVE_MAX_BYTES)
			return -EFBIG;
		r = write_all(fd, chunk, (size_t)n);
		if (r < 0)
			return r;
		offset += n;
	}
}

/* An unnamed file in @dir_fd with the whole of @source. */
static int copy_unnamed(int dir_fd, int source)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = publish_open(dir_fd, SAVE_MODE);
	if (fd < 0)
		return take_fd(&fd);
	r = copy(source, fd);
	return r < 0 ? r : take_fd(&fd);
}

int save_into(int dir_fd, const char *name, int source, char **ret_name)
{
	_cleanup_free_ char *final = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	/* The name is profd's, or of whoever answers in its place. */
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/'))
		return -EBADMSG;
	final = strdup(name);
	if (!final)
		return -ENOMEM;
	fd = copy_unnamed(dir_fd, source);
	if (fd < 0)
		return fd;
	r = publish_link_next(dir_fd, fd, final);
	if (r < 0)
		return r;
	*ret_name = take_ptr(final);
	return 0;
}

/* Opens the directory of @path, and finds the name in it. */
static int open_parent(const char *path, const char **ret_name)
{
	_cleanup_free_ char *dir = NULL;
	const char *slash = strrchr(path, '/');
	int fd;

	if (!slash)
		dir = strdup(".");
	else
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!dir)
		return -ENOMEM;
	fd = save_open_dir(dir);
	if (fd >= 0)
		*ret_name = slash ? slash + 1 : path;
	return fd;
}

static int replace(const char *path, int source)
{
	_cleanup_close_ int dir_fd = -1, fd = -1;
	const char *name = NULL;
	char temporary[64];
	int r;

	dir_fd = open_parent(path, &name);
	if (dir_fd < 0)
		return dir_fd;
	if (name[0] == '\0')
		return -EISDIR;
	fd = copy_unnamed(dir_fd, source);
	if (fd < 0)
		return fd;
	snprintf(temporary, sizeof(temporary), ".profctl-%d.tmp", (int)getpid());
	r = publish_link(dir_fd, fd, temporary);
	if (r < 0)
		return r;
	if (renameat(dir_fd, temporary, dir_fd, name) < 0) {
		r = -errno;
		unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return fsync(dir_fd) < 0 && errno != EINVAL ? -errno : 0;
}

int save_as(const char *path, int source)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return replace(path, source);
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	/* /dev/null and its like are not there to be replaced. */
	fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return copy(source, fd);
}

int save_check(const char *path)
{
	_cleanup_close_ int dir_fd = -1;
	const char *name = NULL;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? -errno : 0;
	dir_fd = open_parent(path, &name);
	if (dir_fd < 0)
		return dir_fd;
	return name[0] == '\0' ? -EISDIR : 0;
}
