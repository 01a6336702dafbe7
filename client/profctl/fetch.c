/*
 * profctl itself talks to no server: it starts who does, tells it the build-ids, and gets
 * files in a directory that nobody else may enter.
 */
#include "client/profctl/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/profctl/output.h"
#include "client/profctl/private.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_WALK_FDS 8

static int make_dir(struct fetched *fetched)
{
	const char *parent = getenv("TMPDIR");

	if (asprintf(&fetched->dir, "%s/profctl-debug-XXXXXX",
		     parent && parent[0] == '/' ? parent : "/var/tmp") < 0) {
		fetched->dir = NULL;
		return -ENOMEM;
	}
	if (mkdtemp(fetched->dir))
		return 0;
	output_error("%s: %s", fetched->dir, strerror(errno));
	free(take_ptr(fetched->dir));
	return -errno;
}

/* In the child. */
__attribute__((noreturn)) static void become_fetch(const char *program, const char *dir,
						   char *const *urls, size_t n_urls, int in_fd,
						   int out_fd)
{
	const char *argv[2 + PROFD_MAX_FETCH_SERVERS + 1] = {program, dir};

	for (size_t i = 0; i < n_urls; i++)
		argv[2 + i] = urls[i];
	if (dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(126);
	execv(program, (char **)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* More than a pipe holds, and nobody reads yet. */
static FILE *write_ids(char *const *ids, size_t n_ids)
{
	FILE *f = tmpfile();

	for (size_t i = 0; f && i < n_ids; i++)
		fprintf(f, "%s\n", ids[i]);
	if (f && (fflush(f) != 0 || fseek(f, 0, SEEK_SET) != 0)) {
		fclose(f);
		return NULL;
	}
	return f;
}

/* Returns how many files it says it has written. */
static int read_answer(int fd, pid_t pid)
{
	char text[32] = "";
	size_t n = 0;
	ssize_t got;
	int status;

	while (n < sizeof(text) - 1 && ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0 ||
					(got < 0 && errno == EINTR)))
		n += got > 0 ? (size_t)got : 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? (int)strtol(text, NULL, 10) : -EIO;
}

static int run_fetch(const char *program, const char *dir, char *const *urls, size_t n_urls,
		     FILE *ids)
{
	int pipe_fds[2], r;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become_fetch(program, dir, urls, n_urls, fileno(ids), pipe_fds[1]);
	close(pipe_fds[1]);
	r = pid < 0 ? -EAGAIN : read_answer(pipe_fds[0], pid);
	close(pipe_fds[0]);
	return r;
}

int fetch_debug_files(struct fetched *fetched, char *const *urls, size_t n_urls, char *const *ids,
		      size_t n_ids)
{
	_cleanup_free_ char *program = NULL;
	FILE *in;
	int r = fetched->dir ? 0 : make_dir(fetched);

	if (r == 0)
		r = private_find("profd-fetch", &program);
	if (r < 0)
		return r;
	in = write_ids(ids, n_ids);
	if (!in) {
		output_error("a temporary file: %s", strerror(errno));
		return -EIO;
	}
	r = run_fetch(program, fetched->dir, urls, n_urls, in);
	fclose(in);
	if (r < 0)
		output_error("profd-fetch: %s", strerror(-r));
	return r;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fetched_done(struct fetched *fetched)
{
	if (fetched->dir)
		nftw(fetched->dir, remove_one, MAX_WALK_FDS, FTW_DEPTH | FTW_PHYS);
	free(take_ptr(fetched->dir));
}
