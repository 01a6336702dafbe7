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
#include <unistd.h>

#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_WALK_FDS 8

static int make_dir(struct fetched *fetched)
{
	const char *parent = getenv("TMPDIR");
	int r;

	if (asprintf(&fetched->dir, "%s/profctl-debug-XXXXXX",
		     parent && parent[0] == '/' ? parent : "/var/tmp") < 0) {
		fetched->dir = NULL;
		return -ENOMEM;
	}
	if (mkdtemp(fetched->dir))
		return 0;
	r = -errno;
	output_error("%s: %s: set TMPDIR to a directory that you can write to", fetched->dir,
		     strerror(-r));
	free(take_ptr(fetched->dir));
	return r;
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

/* How many files it says it has written. */
static int read_answer(int fd)
{
	char text[32] = "";
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(text) - 1 && ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0 ||
					(got < 0 && errno == EINTR)))
		n += got > 0 ? (size_t)got : 0;
	return (int)strtol(text, NULL, 10);
}

static int run_fetch(const char *program, const char *dir, char *const *urls, size_t n_urls,
		     FILE *ids)
{
	const char *argv[2 + PROFD_MAX_FETCH_SERVERS + 1] = {program, dir};
	struct helper_filter how = {.argv = argv, .in_fd = fileno(ids), .error_fd = -1};
	int pipe_fds[2], n, r;
	pid_t pid;

	for (size_t i = 0; i < n_urls; i++)
		argv[2 + i] = urls[i];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	how.out_fd = pipe_fds[1];
	r = helper_start(&how, &pid);
	close(pipe_fds[1]);
	if (r == 0) {
		n = read_answer(pipe_fds[0]);
		r = helper_wait(pid);
		r = r < 0 ? r : n;
	}
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
		r = helper_find("profd-fetch", &program);
	if (r < 0)
		return r;
	in = write_ids(ids, n_ids);
	if (!in) {
		output_error("/tmp: no temporary file can be made there: %s", strerror(errno));
		return -EIO;
	}
	r = run_fetch(program, fetched->dir, urls, n_urls, in);
	fclose(in);
	if (r < 0)
		output_error("profd-fetch: failed: no debug file was fetched");
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
