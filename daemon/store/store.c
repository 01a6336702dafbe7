/*
 * Which file is older, and by how much, must not depend on the wall clock: it
 * is set forward and back, starts in 1970 on some machines, and the stamps in
 * the names are its word. A profile that was written under a clock years ahead
 * would make all others look years old, and itself the newest for ever.
 *
 * So the store has a time of its own, and keeps it where it outlives the
 * daemon: in the files' modification times. While the daemon runs it advances
 * with CLOCK_BOOTTIME, which nobody sets. A file is put onto that line when it
 * is published: mostly the kernel has given it the right time already; if the
 * wall clock has jumped meanwhile, the file's time is corrected, so that the times
 * of files are in the order in which they were published.
 *
 * At start the line goes on from the latest file there, or from the wall clock
 * if that is later: a jump while profd was not running cannot be told from a
 * machine that was off. Therefore a time in which nothing was published counts
 * as GAP_MOST_NS at most for the age of what was there before. Ages may come out
 * too small that way, after a restart, but nothing is ever deleted for a date.
 */
#include "daemon/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/store/catalogue.h"
#include "profd/base.h"

#define GAP_MOST_NS   ((int64_t)(3600 * NSEC_PER_SEC))
#define OFF_LINE_NS   ((int64_t)(60 * NSEC_PER_SEC)) /* a file's time that is corrected */
#define TICK_NS	      ((int64_t)1000000)
#define LINE_LAST_NS  (INT64_MAX / 2)
#define LINE_FIRST_NS (-LINE_LAST_NS)

/* ---- the time */

static struct store_time read_time(void)
{
	struct timespec boot, wall;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct store_time){
		.boot_ns = (uint64_t)boot.tv_sec * NSEC_PER_SEC + (uint64_t)boot.tv_nsec,
		.unix_ns = (int64_t)wall.tv_sec * (int64_t)NSEC_PER_SEC + wall.tv_nsec,
	};
}

/* What a file's time says, within what can be reckoned with. */
static int64_t file_time(const struct stat *st)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)st->st_mtim.tv_sec, (int64_t)NSEC_PER_SEC, &ns) ||
	    ns > LINE_LAST_NS || ns < LINE_FIRST_NS)
		return st->st_mtim.tv_sec < 0 ? LINE_FIRST_NS : LINE_LAST_NS;
	return ns + st->st_mtim.tv_nsec;
}

/* ---- the catalogue */

static void forget(struct store *s, struct store_file *file)
{
	s->n_new -= file->order == 0;
	HASH_DEL(s->files, file);
	s->bytes -= file->bytes;
	free(file);
}

bool store_delete(struct store *s, struct store_file *file)
{
	if (unlinkat(s->dir_fd, file->name, 0) < 0 && errno != ENOENT)
		return false;
	s->deleted++;
	forget(s, file);
	return true;
}

/* Whether @name is a file of ours: also the kernel says so. Names can be made by
 * anyone whom the administrator lets write there. */
static bool look(const struct store *s, const char *name, const struct stat *dir,
		 struct stat *ret_st)
{
	if (fstatat(s->dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(ret_st->st_mode))
		return false;
	return ret_st->st_uid == geteuid() || ret_st->st_uid == 0 || ret_st->st_uid == dir->st_uid;
}

static int add(struct store *s, const char *name, const struct store_parts *parts,
	       const struct stat *st)
{
	size_t n = strlen(name) + 1;
	struct store_file *file = calloc(1, sizeof(*file) + n);

	if (!file)
		return -ENOMEM;
	memcpy(file->name, name, n);
	file->parts = *parts;
	file->bytes = (uint64_t)st->st_blocks * 512;
	file->born_ns = file_time(st); /* until it is placed */
	HASH_ADD_STR(s->files, name, file);
	if (!file->hh.tbl) {
		free(file);
		return -ENOMEM;
	}
	s->bytes += file->bytes;
	s->marked = s->exhausted = false;
	file->round = s->round;
	s->n_new++;
	return 0;
}

static int by_time(const struct store_file *a, const struct store_file *b)
{
	if (a->born_ns != b->born_ns)
		return a->born_ns < b->born_ns ? -1 : 1;
	return strcmp(a->name + a->parts.target_bytes, b->name + b->parts.target_bytes);
}

/* A new file comes onto the line, behind all others. One whose time cannot be
 * changed keeps its place until the daemon ends. */
static void place(struct store *s, struct store_file *file, uint64_t boot_ns)
{
	int64_t now = s->line_ns + (int64_t)boot_ns, off = file->born_ns - now;

	if (off < -OFF_LINE_NS || off > OFF_LINE_NS || file->born_ns <= s->last_ns) {
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

		now = max(now, s->last_ns + TICK_NS);
		times[1].tv_sec = (time_t)(now / (int64_t)NSEC_PER_SEC);
		times[1].tv_nsec = (long)(now % (int64_t)NSEC_PER_SEC);
		if (now >= 0)
			(void)utimensat(s->dir_fd, file->name, times, AT_SYMLINK_NOFOLLOW);
		file->born_ns = now;
	}
	s->last_ns = file->born_ns;
	file->born_ns = (int64_t)boot_ns;
	file->order = ++s->last_order;
	s->n_new--;
}

/* Those that were found together, by their times. */
static void place_new(struct store *s, uint64_t boot_ns)
{
	struct store_file *file, *next;

	if (s->n_new == 0)
		return;
	HASH_SORT(s->files, by_time);
	HASH_ITER (hh, s->files, file, next)
		if (file->order == 0)
			place(s, file, boot_ns);
}

/* At start: the line, and from file times, ages. */
static void begin(struct store *s, const struct store_time *now)
{
	struct store_file *file, *next, *last = NULL;
	int64_t age = 0, later = 0;

	HASH_SORT(s->files, by_time);
	HASH_ITER (hh, s->files, file, next) {
		file->order = ++s->last_order;
		last = file;
	}
	s->n_new = 0;
	s->last_ns = last ? last->born_ns : LINE_FIRST_NS;
	s->line_ns = max(s->last_ns, now->unix_ns) - (int64_t)now->boot_ns;
	for (file = last; file; file = file->hh.prev) {
		if (file != last)
			age += min(later - file->born_ns, GAP_MOST_NS);
		later = file->born_ns;
		file->born_ns = (int64_t)now->boot_ns - age;
	}
}

static int see(struct store *s, const char *name, const struct stat *dir)
{
	struct store_parts parts;
	struct store_file *file;
	struct stat st;

	if (!store_parse_name(name, &parts))
		return 0;
	HASH_FIND_STR(s->files, name, file);
	if (file) {
		file->round = s->round;
		return 0;
	}
	if (!look(s, name, dir, &st))
		return 0;
	return add(s, name, &parts, &st);
}

static void forget_unseen(struct store *s)
{
	struct store_file *file, *next;

	HASH_ITER (hh, s->files, file, next)
		if (file->round != s->round)
			forget(s, file);
}

/* Nothing has come or gone since the listing before the last one: within one tick of
 * the file system's clock, the last one may have missed something. */
static bool is_settled(struct store *s, const struct stat *st)
{
	bool same = st->st_mtim.tv_sec == s->changed.tv_sec &&
		    st->st_mtim.tv_nsec == s->changed.tv_nsec,
	     settled = same && s->settling;

	s->settling = same;
	s->changed = st->st_mtim;
	return settled;
}

static int list_all(struct store *s, const struct stat *st)
{
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		r = -errno;
		profd_closep(&fd);
		return r;
	}
	s->round++;
	for (struct dirent *d; r == 0 && (d = readdir(dir));)
		r = see(s, d->d_name, st);
	closedir(dir);
	if (r == 0)
		forget_unseen(s);
	return r;
}

/* Brings the catalogue up to what the directory holds. */
static int list(struct store *s)
{
	struct stat st;

	if (fstat(s->dir_fd, &st) < 0)
		return -errno;
	return is_settled(s, &st) ? 0 : list_all(s, &st);
}

/* ---- the store */

int store_new_at(const char *dir, const struct store_limits *limits, const struct store_time *now,
		 struct store **ret_store)
{
	struct store *s;
	int r;

	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return -errno;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->limits = *limits;
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->dir = s->dir_fd < 0 ? NULL : realpath(dir, NULL);
	r = s->dir ? list(s) : -errno;
	if (r < 0) {
		store_free(s);
		return r;
	}
	begin(s, now);
	*ret_store = s;
	return 0;
}

int store_new(const char *dir, const struct store_limits *limits, struct store **ret_store)
{
	struct store_time now = read_time();

	return store_new_at(dir, limits, &now, ret_store);
}

void store_free(struct store *s)
{
	struct store_file *file, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->files, file, next)
		forget(s, file);
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

void store_set_limits(struct store *s, const struct store_limits *limits)
{
	s->limits = *limits;
	s->exhausted = false;
}

void store_note_at(struct store *s, const char *name, const struct store_time *now)
{
	struct store_file *file;
	struct stat dir;

	if (fstat(s->dir_fd, &dir) < 0 || see(s, name, &dir) < 0)
		return;
	HASH_FIND_STR(s->files, name, file);
	if (file && file->order == 0)
		place(s, file, now->boot_ns);
}

void store_note(struct store *s, const char *name)
{
	struct store_time now = read_time();

	store_note_at(s, name, &now);
}

int store_retain_at(struct store *s, const struct store_time *now)
{
	int r = list(s);

	if (r < 0)
		return r;
	place_new(s, now->boot_ns);
	return retain_apply(s, now->boot_ns);
}

int store_retain(struct store *s)
{
	struct store_time now = read_time();

	return store_retain_at(s, &now);
}

void store_get_stats(const struct store *s, struct store_stats *ret_stats)
{
	*ret_stats = (struct store_stats){
		.files = HASH_COUNT(s->files), .bytes = s->bytes, .deleted = s->deleted};
}
