/*
 * Two profiles, @seconds apart, process by process: the later less the earlier.
 * A process that was not there at the beginning counts whole. One that is gone
 * at the end is left out, for its first profile alone says nothing of the time;
 * but if it is the only one that was asked for, the measurement ends with it,
 * and its last heap, which profd keeps, stands for the second profile.
 */
#include "client/http/delta.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/pprof_merge.h"

#define LAST_HEAP_MS 20000 /* until it must be written */
#define LAST_POLL_MS 50

struct delta {
	const struct profile_want *want;
	struct answer before, after;
	int64_t start_ns;
	char note[256];
};

static uint64_t mono_ms(void)
{
	return clock_mono_ns() / NSEC_PER_MSEC;
}

/* -EPIPE: the one who asks has left. 1: the process has ended. */
static int wait_for(const struct ask *who, int process_fd, uint64_t ms)
{
	uint64_t end = mono_ms() + ms;
	struct pollfd wait[] = {
		{.fd = who->client_fd, .events = POLLRDHUP},
		{.fd = process_fd, .events = POLLIN},
	};

	for (;;) {
		uint64_t now = mono_ms();

		if (now >= end)
			return 0;
		if (poll(wait, ARRAY_SIZE(wait), (int)(end - now)) < 0)
			continue;
		if (wait[0].revents)
			return -EPIPE;
		if (wait[1].revents)
			return 1;
	}
}

/* The last heap of @pid: 0 and its path; -EAGAIN: it is being written. */
static int find_last(const struct ask *who, uint32_t pid, char *ret_path, size_t size)
{
	_cleanup_(answer_done) struct answer a = {};
	struct ask_how how = {.timeout_ms = PROFD_HTTP_PATIENCE_MS, .ended_fd = -1};
	Profd__List list = PROFD__LIST__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	request.verb_case = PROFD__REQUEST__VERB_LIST;
	request.list = &list;
	ask(who, &request, &how, &a);
	if (a.error != 0)
		return -a.error;
	for (size_t i = 0; i < a.replies.n; i++) {
		const Profd__Reply *r = a.replies.items[i];

		if (r->kind_case == PROFD__REPLY__KIND_TARGET && r->target->pid == pid)
			return -EAGAIN;
		if (r->kind_case != PROFD__REPLY__KIND_ENDED || r->ended->pid != pid)
			continue;
		if (r->ended->writing)
			return -EAGAIN;
		snprintf(ret_path, size, "%s", r->ended->path);
		return *ret_path ? 0 : -ENOENT;
	}
	return -ENOENT;
}

static int open_last(const struct ask *who, uint32_t pid, char *path, size_t size)
{
	uint64_t end = mono_ms() + LAST_HEAP_MS;
	int r;

	/* It is told of when profd has seen the end, which may be after us. */
	do {
		r = find_last(who, pid, path, size);
		if ((r == -EAGAIN || r == -ENOENT) && wait_for(who, -1, LAST_POLL_MS) < 0)
			return -EPIPE;
	} while ((r == -EAGAIN || r == -ENOENT) && mono_ms() < end);
	if (r < 0)
		return r;
	r = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	return r < 0 ? -errno : r;
}

/* In place of a second profile. */
static int take_last(struct delta *d, struct reply *ret_error)
{
	uint32_t pid = d->want->scope->pid;
	struct ask_file *file;
	char path[PROFD_MAX_PATH] = "";
	int fd = open_last(d->want->who, pid, path, sizeof(path));

	if (fd < 0) {
		reply_error(ret_error, 500,
			    "process %" PRIu32 " ended during the measurement, and its last heap "
			    "cannot be had: %s%s%s",
			    pid, path, *path ? ": " : "", strerror(-fd));
		return fd;
	}
	file = array_add(&d->after.files);
	if (!file) {
		close(fd);
		reply_error(ret_error, 500, "out of memory");
		return -ENOMEM;
	}
	file->fd = fd;
	file->pid = pid;
	snprintf(d->note, sizeof(d->note),
		 "incomplete: the process ended after %.1fs; this is up to its end",
		 (double)(clock_unix_ns() - d->start_ns) / 1e9);
	return 0;
}

static int ask_for(const struct delta *d, struct answer *ret, struct reply *ret_error)
{
	profile_ask(d->want, ret);
	if (ret->error == 0 || profile_is_empty(d->want, ret))
		return 0;
	return profile_fail(ret, "", ret_error);
}

static const struct ask_file *find_file(const struct answer *a, uint32_t pid)
{
	for (size_t i = 0; i < a->files.n; i++)
		if (a->files.items[i].pid == pid)
			return &a->files.items[i];
	return NULL;
}

struct inputs {
	struct pprof_merge_input *items;
	struct pprof_label *labels; /* two an item */
	size_t n;
};

static void inputs_done(struct inputs *in)
{
	for (size_t i = 0; i < in->n; i++)
		pprof_free((struct pprof *)in->items[i].profile);
	free(in->items);
	free(in->labels);
}

static int add_input(struct inputs *in, const struct ask_file *file, bool label, bool subtract)
{
	struct pprof_merge_input *to = &in->items[in->n];
	struct pprof *p;
	int r = profile_read(file->fd, &p);

	if (r < 0)
		return r;
	*to = (struct pprof_merge_input){.profile = p, .subtract = subtract};
	if (label) {
		profile_labels(file, &in->labels[2 * in->n]);
		to->labels = &in->labels[2 * in->n];
		to->n_labels = 2;
	}
	in->n++;
	return 0;
}

static int subtract(const struct delta *d, struct pprof **ret_p)
{
	size_t most = 2 * d->after.files.n;
	_cleanup_(inputs_done) struct inputs in = {
		.items = calloc(most, sizeof(*in.items)),
		.labels = calloc(2 * most, sizeof(*in.labels)),
	};
	int r = in.items && in.labels ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < d->after.files.n; i++) {
		const struct ask_file *after = &d->after.files.items[i];
		const struct ask_file *before = find_file(&d->before, after->pid);

		r = add_input(&in, after, d->after.files.n > 1, false);
		if (r >= 0 && before) {
			/* A name may change; the process is the same. */
			struct ask_file same = *after;

			same.fd = before->fd;
			r = add_input(&in, &same, d->after.files.n > 1, true);
		}
	}
	return r < 0 ? r : pprof_merge(in.items, in.n, ret_p);
}

static int write_delta(const struct delta *d, struct reply *ret_error)
{
	int64_t now = clock_unix_ns();
	struct pprof *p = NULL;
	int r = subtract(d, &p), fd = -1;

	if (r >= 0)
		r = pprof_set_time(p, now, now - d->start_ns);
	if (r >= 0 && d->want->kind->shown)
		r = pprof_set_default_type(p, d->want->kind->shown);
	if (r >= 0 && *d->note)
		r = pprof_add_comment(p, d->note);
	if (r >= 0)
		r = fd = profile_write(p, ret_error);
	else
		reply_error(ret_error, 500, "failed to compute delta");
	pprof_free(p);
	return r < 0 ? r : fd;
}

static int measure(struct delta *d, uint64_t seconds, struct reply *ret_error)
{
	_cleanup_close_ int process = profile_open_process(d->want->scope);
	int r = ask_for(d, &d->before, ret_error);

	if (r < 0)
		return r;
	d->start_ns = clock_unix_ns();
	r = wait_for(d->want->who, process, seconds * 1000);
	if (r < 0) {
		reply_error(ret_error, 500, "context canceled");
		return r;
	}
	if (r > 0)
		return take_last(d, ret_error);
	return ask_for(d, &d->after, ret_error);
}

int profile_fetch_delta(const struct profile_want *want, uint64_t seconds, struct reply *ret_error)
{
	struct delta d = {.want = want};
	int r = measure(&d, seconds, ret_error);

	if (r >= 0 && d.after.files.n == 0)
		r = profile_fetch(want, ret_error); /* nothing, and why */
	else if (r >= 0)
		r = write_delta(&d, ret_error);
	answer_done(&d.before);
	answer_done(&d.after);
	return r;
}
