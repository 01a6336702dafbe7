#include "client/profctl/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "profd/base.h"

#define PRIVATE_START_MS    20000
#define PRIVATE_STOP_MS	    10000
#define PRIVATE_SOCKET_NAME "profd.sock"
#define PRIVATE_STATE_NAME  "state"
#define PRIVATE_MAX_ARGS    12

/* Makes a directory of ours whose socket's path is short enough. */
static int make_dir(char **ret_dir)
{
	const char *bases[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
	const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		_cleanup_free_ char *dir = NULL;

		if (!bases[i] || bases[i][0] != '/')
			continue;
		if (asprintf(&dir, "%s/profctl-XXXXXX", bases[i]) < 0) {
			dir = NULL;
			return -ENOMEM;
		}
		if (strlen(dir) + strlen("/" PRIVATE_SOCKET_NAME) > longest) {
			r = -ENAMETOOLONG;
			continue;
		}
		if (mkdtemp(dir)) { /* mode 0700 */
			*ret_dir = take_ptr(dir);
			return 0;
		}
		r = -errno;
	}
	return r;
}

/* Removes the files of @dir, and of directories in it, but goes no deeper. */
static void remove_files(int dir_fd, bool inner)
{
	struct dirent *entry;
	DIR *dir;

	dir = fdopendir(dir_fd);
	if (!dir) {
		close(dir_fd);
		return;
	}
	while ((entry = readdir(dir))) {
		int fd;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0 || !inner)
			continue;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		remove_files(fd, false);
		unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static void remove_dir(const char *path)
{
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		remove_files(fd, true);
	rmdir(path);
}

static int make_places(const struct private_options *options, struct private_daemon *d)
{
	int r;

	r = make_dir(&d->dir);
	if (r < 0)
		return r;
	if (asprintf(&d->socket, "%s/" PRIVATE_SOCKET_NAME, d->dir) < 0) {
		d->socket = NULL;
		return -ENOMEM;
	}
	if (options->output) {
		/* profd may stand elsewhere than we do. */
		d->output = realpath(options->output, NULL);
		return d->output ? 0 : -errno;
	}
	if (asprintf(&d->output, "%s/" PRIVATE_STATE_NAME, d->dir) < 0) {
		d->output = NULL;
		return -ENOMEM;
	}
	return mkdir(d->output, 0700) < 0 ? -errno : 0;
}

static int serve(const struct private_options *options, struct private_daemon *d, int *ret_signal)
{
	const char *args[PRIVATE_MAX_ARGS] = {
		"--private", "--foreground", "--runtime-dir", d->dir, "--state-dir", d->output,
	};
	struct helper_server how = {
		.name = "profd",
		.args = args,
		.mask = options->mask,
		.signals_fd = options->signals_fd,
		.timeout_ms = PRIVATE_START_MS,
	};
	char frequency[24];
	size_t n = 6;

	if (options->frequency_hz > 0) {
		snprintf(frequency, sizeof(frequency), "%" PRIu64, options->frequency_hz);
		args[n++] = "--frequency";
		args[n++] = frequency;
	}
	if (options->event) {
		args[n++] = "--event";
		args[n++] = options->event;
	}
	return helper_serve(&how, &d->pid, ret_signal);
}

int private_start(const struct private_options *options, struct private_daemon *ret_daemon,
		  int *ret_signal)
{
	struct private_daemon d = {};
	int r;

	r = make_places(options, &d);
	if (r < 0)
		output_error("%s: %s: set TMPDIR to a directory that you can write to",
			     d.dir ? d.dir : "temporary directory", strerror(-r));
	else
		r = serve(options, &d, ret_signal);
	if (r < 0)
		private_stop(&d, false);
	else
		*ret_daemon = d;
	return r;
}

void private_stop(struct private_daemon *d, bool watched)
{
	helper_stop(d->pid, watched ? PRIVATE_STOP_MS : 0);
	if (d->dir)
		remove_dir(d->dir);
	free(d->dir);
	free(d->socket);
	free(d->output);
	*d = (struct private_daemon){};
}
