/*
 * Who makes room (store.h has the rule). Files are sorted by program and, within
 * one, by order; a program gives from its front. When something is short, it is
 * taken from the program that has most of that, one file at a time, so that the
 * large ones shrink to one level, and whoever lies below that is left alone.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/statvfs.h>

#include "daemon/store/catalogue.h"
#include "profd/base.h"
#include "profd/limits.h"

struct program {
	size_t next, end; /* its files that may still go, in the array */
	uint64_t files, bytes;
};

struct retention {
	struct store *store;
	struct store_file **files; /* NULL: deleted */
	size_t n_files;
	struct program *programs;
	size_t n_programs;
	int deleted;
};

/* ---- the newest of each target */

static int compare_names(const struct store_file *a, size_t a_bytes, const struct store_file *b,
			 size_t b_bytes)
{
	int r = memcmp(a->name, b->name, min(a_bytes, b_bytes));

	return r || a_bytes == b_bytes ? r : a_bytes < b_bytes ? -1 : 1;
}

static int by_order(const struct store_file *a, const struct store_file *b)
{
	return a->order < b->order ? -1 : a->order > b->order;
}

static int by_target(const void *left, const void *right)
{
	const struct store_file *a = *(struct store_file *const *)left;
	const struct store_file *b = *(struct store_file *const *)right;
	int r = compare_names(a, a->parts.target_bytes, b, b->parts.target_bytes);

	return r ? r : by_order(a, b);
}

static int by_program(const void *left, const void *right)
{
	const struct store_file *a = *(struct store_file *const *)left;
	const struct store_file *b = *(struct store_file *const *)right;
	int r = compare_names(a, a->parts.program_bytes, b, b->parts.program_bytes);

	return r ? r : by_order(a, b);
}

static int latest_first(const void *left, const void *right)
{
	return by_order(*(struct store_file *const *)right, *(struct store_file *const *)left);
}

static bool same_target(const struct store_file *a, const struct store_file *b)
{
	return compare_names(a, a->parts.target_bytes, b, b->parts.target_bytes) == 0;
}

/* A process that came to the pid later keeps the file longer, no more. */
static bool is_running(const struct store_file *file)
{
	return file->parts.pid == 0 || kill(file->parts.pid, 0) == 0 || errno == EPERM;
}

static int mark_kept(struct retention *r)
{
	_cleanup_free_ struct store_file **newest = calloc(r->n_files + 1, sizeof(*newest));
	size_t n = 0, ended = 0;

	if (!newest)
		return -ENOMEM;
	qsort(r->files, r->n_files, sizeof(*r->files), by_target);
	for (size_t i = 0; i < r->n_files; i++) {
		r->files[i]->kept =
			i + 1 == r->n_files || !same_target(r->files[i], r->files[i + 1]);
		if (r->files[i]->kept)
			newest[n++] = r->files[i];
	}
	if (n <= PROFD_MAX_KEPT_TARGETS)
		return 0;
	qsort(newest, n, sizeof(*newest), latest_first);
	for (size_t i = 0; i < n; i++)
		if (!is_running(newest[i]) && ++ended > PROFD_MAX_KEPT_TARGETS)
			newest[i]->kept = false;
	return 0;
}

/* ---- programs */

static int group(struct retention *r)
{
	const struct store_file *last = NULL;

	qsort(r->files, r->n_files, sizeof(*r->files), by_program);
	r->programs = calloc(r->n_files + 1, sizeof(*r->programs));
	if (!r->programs)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_files; i++) {
		const struct store_file *file = r->files[i];
		struct program *p;

		if (!last ||
		    compare_names(last, last->parts.program_bytes, file, file->parts.program_bytes))
			r->programs[r->n_programs++].next = i;
		last = file;
		p = &r->programs[r->n_programs - 1];
		p->end = i + 1;
		p->files++;
		p->bytes += file->bytes;
	}
	return 0;
}

static bool take(struct retention *r, struct program *p, size_t at)
{
	uint64_t bytes = r->files[at]->bytes;

	if (!store_delete(r->store, r->files[at]))
		return false;
	r->files[at] = NULL;
	p->files--;
	p->bytes -= bytes;
	r->deleted++;
	return true;
}

static void take_old(struct retention *r, uint64_t boot_ns)
{
	uint64_t most = r->store->limits.max_age_ns;

	for (struct program *p = r->programs; most && p < r->programs + r->n_programs; p++)
		for (size_t i = p->next; i < p->end; i++)
			if (!r->files[i]->kept &&
			    (int64_t)boot_ns - r->files[i]->born_ns > (int64_t)most)
				(void)take(r, p, i);
}

/* The oldest file of @p that may go; one that cannot be deleted is passed over. */
static bool take_oldest(struct retention *r, struct program *p)
{
	while (p->next < p->end) {
		size_t at = p->next++;

		if (r->files[at] && !r->files[at]->kept && take(r, p, at))
			return true;
	}
	return false;
}

/* From the program that has the most. False: nobody has anything that may go. */
static bool take_from_largest(struct retention *r, bool by_files)
{
	for (;;) {
		struct program *largest = NULL;
		uint64_t most = 0;

		for (struct program *p = r->programs; p < r->programs + r->n_programs; p++) {
			uint64_t has = by_files ? p->files : p->bytes;

			if (p->next < p->end && (!largest || has > most)) {
				largest = p;
				most = has;
			}
		}
		if (!largest)
			return false;
		if (take_oldest(r, largest))
			return true;
	}
}

static bool is_tight(const struct store *s)
{
	struct statvfs vfs;

	return s->limits.min_free_bytes && fstatvfs(s->dir_fd, &vfs) == 0 &&
	       (uint64_t)vfs.f_bavail * vfs.f_frsize < s->limits.min_free_bytes;
}

static void make_room(struct retention *r)
{
	const struct store *s = r->store;
	const struct store_limits *l = &s->limits;

	while (l->max_files && HASH_COUNT(s->files) > l->max_files)
		if (!take_from_largest(r, true)) {
			r->store->exhausted = true;
			return;
		}
	while ((l->max_bytes && s->bytes > l->max_bytes) || is_tight(s))
		if (!take_from_largest(r, false)) {
			r->store->exhausted = true;
			return;
		}
}

/* Most times that one looks, there is nothing to do; and what stays whatever the
 * limits say has stayed the last time too. */
static bool is_due(const struct store *s, uint64_t boot_ns)
{
	const struct store_limits *l = &s->limits;
	const struct store_file *file, *next;

	if (!s->exhausted && ((l->max_files && HASH_COUNT(s->files) > l->max_files) ||
			      (l->max_bytes && s->bytes > l->max_bytes) || is_tight(s)))
		return true;
	HASH_ITER (hh, s->files, file, next)
		if (l->max_age_ns && !(s->marked && file->kept) &&
		    (int64_t)boot_ns - file->born_ns > (int64_t)l->max_age_ns)
			return true;
	return false;
}

int retain_apply(struct store *s, uint64_t boot_ns)
{
	_cleanup_free_ struct store_file **files = NULL;
	struct retention r = {.store = s};
	struct store_file *file, *next;
	int error;

	if (!is_due(s, boot_ns))
		return 0;
	r.files = files = calloc(HASH_COUNT(s->files) + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	HASH_ITER (hh, s->files, file, next)
		files[r.n_files++] = file;
	error = mark_kept(&r);
	if (error == 0)
		error = group(&r);
	if (error == 0) {
		take_old(&r, boot_ns);
		make_room(&r);
		s->marked = true;
	}
	free(r.programs);
	return error < 0 ? error : r.deleted;
}
