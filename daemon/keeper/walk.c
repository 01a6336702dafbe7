/*
 * One name at a time, each opened from the directory before it and never by a
 * path, so that nothing can be put in between. All directories on the way stay
 * open: what `..` goes back to is the one that we came from, wherever it has been
 * moved to meanwhile. Links are read and followed as text: the kernel's magic ones,
 * of /proc, lead nowhere else than their text says.
 */
#include "daemon/keeper/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"

#define MAX_DEPTH 64
#define MAX_LINKS 40 /* as in the kernel */

struct walk {
	int fds[MAX_DEPTH]; /* the first is where it began */
	unsigned depth;
	unsigned links;
	bool follow;
	char rest[2 * PATH_MAX];
};

static void go_back(struct walk *w, unsigned depth)
{
	while (w->depth > depth)
		close(w->fds[--w->depth]);
}

static int step_up(struct walk *w)
{
	if (w->depth > 1)
		go_back(w, w->depth - 1);
	else if (!w->follow)
		return -EXDEV;
	return 0;
}

/* What the link says comes before what is left. */
static int follow(struct walk *w, int link_fd, const char *rest)
{
	char next[sizeof(w->rest)];
	size_t left = strlen(rest);
	ssize_t n;

	if (!w->follow || w->links++ == MAX_LINKS)
		return -ELOOP;
	n = readlinkat(link_fd, "", next, PATH_MAX);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENOENT;
	if (n == PATH_MAX || (size_t)n + 1 + left + 1 > sizeof(next))
		return -ENAMETOOLONG;
	next[n] = '/';
	memcpy(next + n + 1, rest, left + 1);
	if (next[0] == '/')
		go_back(w, 1);
	strcpy(w->rest, next);
	return 0;
}

/* @name, of the directory that was reached; @rest is what comes after it. */
static int step(struct walk *w, const char *name, const char *rest)
{
	_cleanup_close_ int fd =
		openat(w->fds[w->depth - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return -errno;
	if (S_ISLNK(st.stx_mode))
		return follow(w, fd, rest);
	if (w->depth == MAX_DEPTH)
		return -ENAMETOOLONG;
	w->fds[w->depth++] = take_fd(&fd);
	memmove(w->rest, rest, strlen(rest) + 1);
	return 0;
}

/* 1: there is more to go, 0: it is there. */
static int next_step(struct walk *w)
{
	char *name = w->rest + strspn(w->rest, "/"), copy[NAME_MAX + 1];
	size_t n = strcspn(name, "/");
	int r;

	if (n == 0)
		return 0;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(copy, name, n);
	copy[n] = '\0';
	if (strcmp(copy, ".") != 0 && strcmp(copy, "..") != 0) {
		r = step(w, copy, name + n);
		return r < 0 ? r : 1;
	}
	r = copy[1] == '.' ? step_up(w) : 0;
	memmove(w->rest, name + n, strlen(name + n) + 1);
	return r < 0 ? r : 1;
}

int walk_below(int dir_fd, const char *path, bool links)
{
	struct walk w = {.follow = links};
	int r, fd;

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!links && path[0] == '/')
		return -EXDEV;
	if (path[0] == '\0')
		return -ENOENT;
	strcpy(w.rest, path);
	w.fds[0] = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	if (w.fds[0] < 0)
		return -errno;
	w.depth = 1;
	do
		r = next_step(&w);
	while (r > 0);
	fd = r < 0 ? r : w.fds[--w.depth];
	go_back(&w, 0);
	return fd;
}
