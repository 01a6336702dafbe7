/*
 * Retention goes by the names, not by file times: a name carries the moment of
 * its profile and sorts by it, and a clock that jumps changes no order that is
 * already on disk. Age is measured against the newest profile in the directory,
 * never against the clock, so a wrong date deletes nothing.
 */
#include "daemon/store/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "profd/base.h"
#include "proto/publish.h"

#define SUFFIX	   ".pb.gz"
#define STAMP_FORM "ddddddddTdddddd.dddZ" /* as publish_stamp() writes it; d: a digit */

struct store {
	char *dir;
	int dir_fd;
	struct store_limits limits;
};

struct entry {
	char *name;
	const char *stamp; /* in name */
	size_t target_bytes;
	uint64_t bytes;
	bool newest; /* of its target */
};

struct listing {
	struct entry *entries;
	size_t n, room;
	uint64_t bytes;
};

int store_new(const char *dir, const struct store_limits *limits, struct store **ret_store)
{
	_cleanup_close_ int fd = -1;
	struct store *s;

	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dir = realpath(dir, NULL);
	if (!s->dir) {
		free(s);
		return -errno;
	}
	s->dir_fd = take_fd(&fd);
	s->limits = *limits;
	*ret_store = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	profd_closep(&s->dir_fd);
	free(s->dir);
	free(s);
}

int store_dir_fd(const struct store *s)
{
	return s->dir_fd;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

void store_name(const char *type, const char *comm, pid_t pid, int64_t unix_ns, char *ret,
		size_t size)
{
	char stamp[PUBLISH_STAMP_BYTES], clean[32];

	publish_stamp(unix_ns, stamp, sizeof(stamp));
	if (!pid) {
		snprintf(ret, size, "%s_%s" SUFFIX, type, stamp);
		return;
	}
	publish_clean(comm, clean, sizeof(clean));
	snprintf(ret, size, "%s_%s_%d_%s" SUFFIX, type, clean, (int)pid, stamp);
}

static bool is_stamp(const char *p)
{
	for (const char *f = STAMP_FORM; *f; f++, p++)
		if (*f == 'd' ? !isdigit((unsigned char)*p) : *p != *f)
			return false;
	return true;
}

bool store_parse_name(const char *name, size_t *ret_target_bytes)
{
	const size_t suffix = strlen(SUFFIX), tail = strlen(STAMP_FORM) + suffix;
	size_t n = strlen(name);

	if (n <= tail + 1 || strcmp(name + n - suffix, SUFFIX) != 0)
		return false;
	if (name[n - tail - 1] != '_' || !is_stamp(name + n - tail))
		return false;
	if (strncmp(name, "heap_", 5) != 0 && strncmp(name, "cpu_", 4) != 0 &&
	    strncmp(name, "offcpu_", 7) != 0)
		return false;
	*ret_target_bytes = n - tail - 1;
	return true;
}

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].name);
	free(l->entries);
}

static int listing_add(struct listing *l, const char *name, size_t target_bytes, uint64_t bytes)
{
	struct entry *e;

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		struct entry *grown = reallocarray(l->entries, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->entries = grown;
		l->room = room;
	}
	e = &l->entries[l->n];
	*e = (struct entry){.name = strdup(name), .target_bytes = target_bytes, .bytes = bytes};
	if (!e->name)
		return -ENOMEM;
	e->stamp = e->name + target_bytes + 1;
	l->bytes += bytes;
	l->n++;
	return 0;
}

static int list(const struct store *s, struct listing *l)
{
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		r = -errno;
		profd_closep(&fd);
		return r;
	}
	for (struct dirent *d; r == 0 && (d = readdir(dir));) {
		size_t target_bytes;
		struct stat st;

		if (!store_parse_name(d->d_name, &target_bytes) ||
		    fstatat(s->dir_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		r = listing_add(l, d->d_name, target_bytes, (uint64_t)st.st_blocks * 512);
	}
	closedir(dir);
	return r;
}

static int by_stamp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->stamp, y->stamp);

	return r ? r : strcmp(x->name, y->name);
}

static int by_target(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strncmp(x->name, y->name, min(x->target_bytes, y->target_bytes));

	if (r)
		return r;
	if (x->target_bytes != y->target_bytes)
		return x->target_bytes < y->target_bytes ? -1 : 1;
	return by_stamp(a, b);
}

static void mark_newest(struct listing *l)
{
	qsort(l->entries, l->n, sizeof(*l->entries), by_target);
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &l->entries[i], *next = e + 1;

		l->entries[i].newest = i + 1 == l->n || next->target_bytes != e->target_bytes ||
				       strncmp(next->name, e->name, e->target_bytes) != 0;
	}
	qsort(l->entries, l->n, sizeof(*l->entries), by_stamp);
}

static int64_t stamp_seconds(const char *stamp)
{
	struct tm tm = {0};

	return strptime(stamp, "%Y%m%dT%H%M%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

static uint64_t free_bytes(const struct store *s)
{
	struct statvfs vfs;

	return fstatvfs(s->dir_fd, &vfs) < 0 ? UINT64_MAX : (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

int store_retain(struct store *s)
{
	const struct store_limits *l = &s->limits;
	struct listing all = {0};
	size_t left;
	int deleted = 0, r;
	int64_t now;

	r = list(s, &all);
	if (r < 0 || all.n == 0)
		goto out;
	mark_newest(&all);
	left = all.n;
	now = stamp_seconds(all.entries[all.n - 1].stamp);
	for (size_t i = 0; i < all.n; i++) {
		const struct entry *e = &all.entries[i];
		uint64_t age_s = (uint64_t)(now - stamp_seconds(e->stamp));
		bool old = l->max_age_ns && age_s > l->max_age_ns / NSEC_PER_SEC;
		bool many = l->max_files && left > l->max_files;
		bool large = l->max_bytes && all.bytes > l->max_bytes;
		bool tight = l->min_free_bytes && free_bytes(s) < l->min_free_bytes;

		if (e->newest || !(old || many || large || tight))
			continue;
		if (unlinkat(s->dir_fd, e->name, 0) < 0)
			continue;
		all.bytes -= e->bytes;
		left--;
		deleted++;
	}
out:
	listing_done(&all);
	return r < 0 ? r : deleted;
}
