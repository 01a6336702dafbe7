/*
 * Runs a fuzz target over files instead of over libFuzzer's inventions: the
 * corpus is a regression test that needs no clang. Built with sanitizers.
 *
 *	replay FILE-OR-DIRECTORY...
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint8_t *bytes = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Exactly as large as the input, so that a read beyond it is seen. */
	bytes = malloc((size_t)st.st_size + !st.st_size);
	if (!bytes || read(fd, bytes, (size_t)st.st_size) != st.st_size)
		return -EIO;
	LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
	return 0;
}

static int replay_path(const char *path, size_t *n)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		*n += 1;
		return errno == ENOTDIR ? replay_file(AT_FDCWD, path) : -errno;
	}
	while (r == 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		r = replay_file(dirfd(dir), d->d_name);
		*n += 1;
	}
	closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		int r = replay_path(argv[i], &n);

		if (r < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	printf("%zu inputs\n", n);
	return n ? 0 : 1;
}
