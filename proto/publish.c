/*
 * Publishing in four steps: an unnamed file, its data on the disk, a name for
 * it, the name on the disk. Before the third step the file does not exist for
 * anyone else, and a crash gives its space back; after it the file is whole.
 *
 * link() never replaces, so two writers that chose one name cannot lose each
 * other's file: the second is told. Naming goes through /proc/self/fd because
 * naming a bare descriptor (AT_EMPTY_PATH) asks for a capability on older
 * kernels, and the one who publishes has none.
 */
#include "proto/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "profd/base.h"

#define PUBLISH_STAMP_CHARS 20

int publish_open(int dir_fd, mode_t mode)
{
	int fd;

	fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	/* The umask is the process's, the mode is the caller's decision. */
	if (fchmod(fd, mode) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* A file system that cannot sync a directory keeps names in its own way. */
static int sync_opened(int dir_fd)
{
	if (fsync(dir_fd) < 0 && errno != EINVAL && errno != EROFS)
		return -errno;
	return 0;
}

/* O_PATH descriptors are not for fsync(); and only for them is anything opened,
 * as who publishes may not be allowed to. */
static int sync_directory(int dir_fd)
{
	_cleanup_close_ int fd = -1;
	int r = sync_opened(dir_fd);

	if (r != -EBADF)
		return r;
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : sync_opened(fd);
}

int publish_link(int dir_fd, int fd, const char *name)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	int r;

	if (name[0] == '\0' || strchr(name, '/'))
		return -EINVAL;
	if (fsync(fd) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	r = sync_directory(dir_fd);
	/* The caller will say that there is no file, so let there be none. */
	if (r < 0)
		unlinkat(dir_fd, name, 0);
	return r;
}

/* Of the ends that a name may have behind its stamp, the one of @name; 0: none. */
static size_t suffix_bytes(const char *name, size_t n)
{
	static const char *const suffixes[] = {".pb.gz", ".json.gz"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t bytes = strlen(suffixes[i]);

		if (n > bytes && strcmp(name + n - bytes, suffixes[i]) == 0)
			return bytes;
	}
	return 0;
}

/* The stamp's place in a name that ends "<stamp>.pb.gz", or ".json.gz", and its time. */
static int find_stamp(char *name, char **ret_stamp, int64_t *ret_unix_ns)
{
	static const char form[] = "ddddddddTdddddd.dddZ";
	const size_t n_form = PUBLISH_STAMP_CHARS;
	size_t n = strlen(name), n_suffix = suffix_bytes(name, n);
	unsigned year, month, day, hour, minute, second, ms;
	struct tm tm;
	char *stamp;

	if (n_suffix == 0 || n < n_form + n_suffix)
		return -EINVAL;
	stamp = name + n - n_suffix - n_form;
	for (size_t i = 0; i < n_form; i++) {
		bool digit = stamp[i] >= '0' && stamp[i] <= '9';

		if (form[i] == 'd' ? !digit : stamp[i] != form[i])
			return -EINVAL;
	}
	sscanf(stamp, "%4u%2u%2uT%2u%2u%2u.%3uZ", &year, &month, &day, &hour, &minute, &second,
	       &ms);
	/* What 64 bits of nanoseconds can say. */
	if (year < 1678 || year > 2261)
		return -EINVAL;
	tm = (struct tm){
		.tm_year = (int)year - 1900,
		.tm_mon = (int)month - 1,
		.tm_mday = (int)day,
		.tm_hour = (int)hour,
		.tm_min = (int)minute,
		.tm_sec = (int)second,
	};
	*ret_unix_ns = (int64_t)timegm(&tm) * (int64_t)NSEC_PER_SEC + ms * (int64_t)NSEC_PER_MSEC;
	*ret_stamp = stamp;
	return 0;
}

int publish_link_next(int dir_fd, int fd, char *name)
{
	char asked[PUBLISH_STAMP_BYTES], next[PUBLISH_STAMP_BYTES];
	const size_t n = PUBLISH_STAMP_CHARS;
	int64_t unix_ns;
	char *stamp;
	int r;

	r = publish_link(dir_fd, fd, name);
	if (r != -EEXIST || find_stamp(name, &stamp, &unix_ns) < 0)
		return r;
	memcpy(asked, stamp, n);
	for (unsigned i = 0; r == -EEXIST && i < PUBLISH_TRIES; i++) {
		unix_ns += (int64_t)NSEC_PER_MSEC;
		publish_stamp(unix_ns, next, sizeof(next));
		memcpy(stamp, next, n);
		r = publish_link(dir_fd, fd, name);
	}
	if (r < 0)
		memcpy(stamp, asked, n);
	return r;
}

void publish_stamp(int64_t unix_ns, char *ret, size_t size)
{
	int64_t ms = unix_ns / (int64_t)NSEC_PER_MSEC;
	struct tm tm;
	time_t seconds;

	/* Division rounds towards zero; a clock before 1970 must not run backwards. */
	if (unix_ns % (int64_t)NSEC_PER_MSEC < 0)
		ms--;
	seconds = ms / 1000;
	ms %= 1000;
	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	/* 64 bits of nanoseconds end in 2262, so the year has four digits. */
	gmtime_r(&seconds, &tm);
	snprintf(ret, size, "%04u%02u%02uT%02u%02u%02u.%03uZ",
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
}

/* isalnum() would ask the locale. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

void publish_clean(const char *comm, char *ret, size_t size)
{
	size_t i;

	for (i = 0; comm[i] != '\0' && i + 1 < size; i++)
		ret[i] = is_plain(comm[i]) && !(i == 0 && comm[i] == '.') ? comm[i] : '_';
	if (i == 0 && size > 1)
		ret[i++] = '_';
	ret[i] = '\0';
}
