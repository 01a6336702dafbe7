/*
 * The private profd is a child in a session of its own: a Ctrl-C on the
 * terminal is for the command, and profd must outlive the command to write
 * what it saw. It says that its socket listens through a pipe, by one byte; if
 * the pipe ends without one, it has said on standard error why.
 *
 * Its standard output is our standard error, for standard output belongs to
 * the command, and its standard input is empty.
 */
#include "client/profctl/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "client/profctl/output.h"
#include "client/profctl/signals.h"
#include "profd/base.h"
#include "profd/limits.h"

#define PRIVATE_START_MS    20000
#define PRIVATE_STOP_MS	    10000
#define PRIVATE_SOCKET_NAME "profd.sock"
#define PRIVATE_STATE_NAME  "state"
#define PRIVATE_MAX_ARGS    20

/* Relative to the directory of profctl; then as installed by a package. */
static const char *const places[] = {"", "../sbin/", "../lib/profd/", "/usr/sbin/",
				     "/usr/lib/profd/"};

static int own_dir(char *ret, size_t size)
{
	char *slash;
	ssize_t n;

	n = readlink("/proc/self/exe", ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	if (!slash)
		return -ENOENT;
	slash[1] = '\0';
	return 0;
}

int private_find(const char *name, char **ret_path)
{
	char dir[PROFD_MAX_PATH];

	if (own_dir(dir, sizeof(dir)) < 0)
		dir[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = NULL;
		const char *before = places[i][0] == '/' ? "" : dir;

		if (asprintf(&path, "%s%s%s", before, places[i], name) < 0) {
			path = NULL;
			break;
		}
		if (access(path, R_OK) == 0) {
			*ret_path = take_ptr(path);
			return 0;
		}
	}
	output_error("%s: not found beside profctl (%s) nor in /usr: install it there", name, dir);
	return -ENOENT;
}

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

/* In the child: becomes profd, or returns -errno. */
static int become_profd(const char *program, const struct private_options *options,
			const struct private_daemon *d, int ready_fd, pid_t parent)
{
	char ready[16], frequency[24];
	const char *argv[PRIVATE_MAX_ARGS] = {
		program,       "--private", "--foreground", "--runtime-dir", d->dir,
		"--state-dir", d->output,   "--ready-fd",   ready,
	};
	size_t n = 9;
	int null_fd;

	snprintf(ready, sizeof(ready), "%d", ready_fd);
	if (options->frequency_hz > 0) {
		snprintf(frequency, sizeof(frequency), "%" PRIu64, options->frequency_hz);
		argv[n++] = "--frequency";
		argv[n++] = frequency;
	}
	if (options->event) {
		argv[n++] = "--event";
		argv[n++] = options->event;
	}
	/* If we are killed before the connection is there whose end would tell it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		return -ESRCH;
	setsid();
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0)
		return -errno;
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, options->mask, NULL);
	execv(program, (char **)argv);
	return -errno;
}

static int spawn(const char *program, const struct private_options *options,
		 struct private_daemon *d, int ready_fd)
{
	pid_t parent = getpid();
	int r;

	d->pid = fork();
	if (d->pid < 0) {
		d->pid = 0;
		return -errno;
	}
	if (d->pid == 0) {
		r = become_profd(program, options, d, ready_fd, parent);
		output_error("%s: %s", program, strerror(-r));
		_exit(127);
	}
	return 0;
}

/* Waits for the byte that says that the socket listens. */
static int wait_ready(const struct private_options *options, int ready_fd, int *ret_signal)
{
	char byte = 0;
	ssize_t n;
	int r;

	r = signals_wait(options->signals_fd, ready_fd, PRIVATE_START_MS, ret_signal);
	if (r == -ETIMEDOUT)
		output_error("profd: not ready after %d s: is the machine overloaded?",
			     PRIVATE_START_MS / 1000);
	if (r < 0)
		return r;
	n = read(ready_fd, &byte, 1);
	if (n == 1)
		return 0;
	/* Why, it has said itself. */
	output_error("profd: did not start, so the command was not run");
	return -EIO;
}

static int start(const char *program, const struct private_options *options,
		 struct private_daemon *d, int *ret_signal)
{
	_cleanup_close_ int read_fd = -1, write_fd = -1;
	int pipe_fds[2];
	int r;

	r = make_places(options, d);
	if (r < 0) {
		output_error("%s: %s: set TMPDIR to a directory that you can write to",
			     d->dir ? d->dir : "temporary directory", strerror(-r));
		return r;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = pipe_fds[0];
	write_fd = pipe_fds[1];
	r = spawn(program, options, d, write_fd);
	if (r < 0) {
		output_error("profd: %s", strerror(-r));
		return r;
	}
	close(take_fd(&write_fd)); /* or its end would never be seen */
	return wait_ready(options, read_fd, ret_signal);
}

int private_start(const struct private_options *options, struct private_daemon *ret_daemon,
		  int *ret_signal)
{
	_cleanup_free_ char *program = NULL;
	struct private_daemon d = {};
	int r;

	r = private_find("profd", &program);
	if (r < 0)
		return r;
	r = start(program, options, &d, ret_signal);
	if (r < 0) {
		private_stop(&d, false);
		return r;
	}
	*ret_daemon = d;
	return 0;
}

/* Waits until @pid_fd is readable: its process has ended. */
static bool has_ended(int pid_fd, int timeout_ms)
{
	struct pollfd wait = {.fd = pid_fd, .events = POLLIN};

	return poll(&wait, 1, timeout_ms) > 0;
}

void private_stop(struct private_daemon *d, bool watched)
{
	_cleanup_close_ int pid_fd = -1;

	if (d->pid > 0) {
		pid_fd = pidfd_open(d->pid, 0);
		if (!watched || pid_fd < 0 || !has_ended(pid_fd, PRIVATE_STOP_MS))
			kill(d->pid, SIGTERM);
		if (pid_fd >= 0 && !has_ended(pid_fd, PRIVATE_STOP_MS))
			kill(d->pid, SIGKILL);
		while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	if (d->dir)
		remove_dir(d->dir);
	free(d->dir);
	free(d->socket);
	free(d->output);
	*d = (struct private_daemon){};
}
