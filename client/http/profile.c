#include "client/http/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/http/delta.h"
#include "profd/base.h"
#include "profd/limits.h"
#include "proto/pprof_merge.h"

static const struct profile_kind kinds[] = {
	{.name = "allocs", .delta = "allocs-delta", .type = "heap", .shown = "alloc_space"},
	{.name = "block",
	 .delta = "block-delta",
	 .type = "block",
	 .value = "contentions",
	 .delay = true},
	{.name = "goroutine",
	 .delta = "goroutine-delta",
	 .type = "threads",
	 .value = "threads",
	 .word = "goroutine"},
	{.name = "heap", .delta = "heap-delta", .type = "heap"},
	{.name = "mutex",
	 .delta = "mutex-delta",
	 .type = "mutex",
	 .value = "contentions",
	 .delay = true},
	{.name = "threadcreate",
	 .delta = "threadcreate-delta",
	 .type = "threadcreate",
	 .value = "threadcreate"},
	{.name = "threads",
	 .delta = "threads-delta",
	 .type = "threads",
	 .value = "threads",
	 .word = "thread"},
};

const struct profile_kind *profile_find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

int profile_open_process(const struct scope *scope)
{
	return scope->kind == SCOPE_PID ? pidfd_open((pid_t)scope->pid, 0) : -1;
}

/* ---- files */

/* Others may have the file, too, and its position with it: so by offset. */
static int read_all(int fd, uint8_t *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = pread(fd, bytes + at, n - at, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		at += (size_t)got;
	}
	return 0;
}

int profile_read(int fd, struct pprof **ret_p)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || st.st_size > PROFD_HTTP_MAX_PROFILE_BYTES)
		return -EFBIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	r = read_all(fd, bytes, (size_t)st.st_size);
	return r < 0 ? r
		     : pprof_decode(bytes, (size_t)st.st_size, PROFD_HTTP_MAX_PROFILE_BYTES, ret_p);
}

static int out_of_order(struct reply *ret_error, const char *what, int error)
{
	reply_error(ret_error, 500, "%s: %s", what, strerror(-error));
	return error;
}

int profile_write(const struct pprof *p, struct reply *ret_error)
{
	_cleanup_close_ int fd = memfd_create("profd-http", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : pprof_write_gzip(p, fd);

	return r < 0 ? out_of_order(ret_error, "profile", r) : take_fd(&fd);
}

static void freep_pprof(struct pprof **p)
{
	pprof_free(*p);
}

int profile_show(int fd, const char *type, struct reply *ret_error)
{
	_cleanup_(freep_pprof) struct pprof *p = NULL;
	int r = profile_read(fd, &p);

	if (r >= 0)
		r = pprof_set_default_type(p, type);
	return r < 0 ? out_of_order(ret_error, "profile", r) : profile_write(p, ret_error);
}

/* ---- asking */

static unsigned status_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return 403;
	case ENOENT:
	case ESRCH:
		return 404;
	case ECONNREFUSED:
		return 503;
	case ETIMEDOUT:
		return 504;
	default:
		return 500;
	}
}

int profile_fail(const struct answer *a, const char *before, struct reply *ret_error)
{
	reply_error(ret_error, status_of(a->error), "%s%s", before, a->why);
	return -a->error;
}

static void set_scope(Profd__Snapshot *verb, const struct scope *scope)
{
	verb->pid = scope->kind == SCOPE_PID ? scope->pid : 0;
	if (scope->kind == SCOPE_COMM)
		verb->comm = (char *)scope->name;
	if (scope->kind == SCOPE_UNIT)
		verb->unit = (char *)scope->name;
}

void profile_ask(const struct profile_want *want, struct answer *ret_answer)
{
	struct ask_how how = {.timeout_ms = PROFD_HTTP_PATIENCE_MS, .ended_fd = -1};
	Profd__Snapshot verb = PROFD__SNAPSHOT__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;
	char *type = (char *)want->kind->type;

	verb.types = &type;
	verb.n_types = 1;
	verb.send_files = true;
	verb.no_trim = !want->trim;
	set_scope(&verb, want->scope);
	request.verb_case = PROFD__REQUEST__VERB_SNAPSHOT;
	request.snapshot = &verb;
	ask(want->who, &request, &how, ret_answer);
}

/* ---- of a moment */

/* A profile of nothing is valid, and says why it is empty. */
static int make_empty(const struct profile_kind *kind, const char *why, struct pprof **ret_p)
{
	_cleanup_(freep_pprof) struct pprof *p = pprof_new();
	int r = p ? 0 : -ENOMEM;

	if (r >= 0 && kind->value) {
		r = pprof_add_sample_type(p, kind->value, "count");
		if (r >= 0 && kind->delay)
			r = pprof_add_sample_type(p, "delay", "nanoseconds");
		if (r >= 0)
			r = pprof_set_period(p, kind->value, "count", 1);
	} else if (r >= 0) {
		r = pprof_add_sample_type(p, "alloc_objects", "count");
		if (r >= 0)
			r = pprof_add_sample_type(p, "alloc_space", "bytes");
		if (r >= 0)
			r = pprof_add_sample_type(p, "inuse_objects", "count");
		if (r >= 0)
			r = pprof_add_sample_type(p, "inuse_space", "bytes");
		if (r >= 0)
			r = pprof_set_period(p, "space", "bytes", 524288);
	}
	if (r >= 0)
		r = pprof_add_comment(p, why);
	if (r >= 0)
		*ret_p = take_ptr(p);
	return r;
}

bool profile_is_empty(const struct profile_want *want, const struct answer *a)
{
	bool machine = want->scope->kind == SCOPE_MACHINE;

	/* EINVAL: this profd does not measure it. */
	return (a->error == ENOENT && machine) || (a->error == EINVAL && want->kind->value);
}

static int fetch_empty(const struct profile_want *want, const struct answer *a,
		       struct reply *ret_error)
{
	_cleanup_(freep_pprof) struct pprof *p = NULL;
	int r = make_empty(want->kind, a->why, &p);

	return r < 0 ? out_of_order(ret_error, "profile", r) : profile_write(p, ret_error);
}

void profile_labels(const struct ask_file *file, struct pprof_label ret[2])
{
	ret[0] = (struct pprof_label){.key = "pid", .num = file->pid};
	ret[1] = (struct pprof_label){.key = "comm", .str = file->comm};
}

static int sum(const struct answer *a, struct reply *ret_error)
{
	_cleanup_free_ struct pprof_merge_input *inputs = calloc(a->files.n, sizeof(*inputs));
	_cleanup_free_ struct pprof_label *labels = calloc(2 * a->files.n, sizeof(*labels));
	struct pprof *merged = NULL;
	int r = inputs && labels ? 0 : -ENOMEM, fd;

	for (size_t i = 0; r >= 0 && i < a->files.n; i++) {
		profile_labels(&a->files.items[i], &labels[2 * i]);
		inputs[i].labels = &labels[2 * i];
		inputs[i].n_labels = 2;
		r = profile_read(a->files.items[i].fd, (struct pprof **)&inputs[i].profile);
	}
	if (r >= 0)
		r = pprof_merge(inputs, a->files.n, &merged);
	for (size_t i = 0; inputs && i < a->files.n; i++)
		pprof_free((struct pprof *)inputs[i].profile);
	if (r < 0)
		return out_of_order(ret_error, "profiles", r);
	fd = profile_write(merged, ret_error);
	pprof_free(merged);
	return fd;
}

int profile_fetch(const struct profile_want *want, struct reply *ret_error)
{
	_cleanup_(answer_done) struct answer a = {};

	profile_ask(want, &a);
	if (profile_is_empty(want, &a))
		return fetch_empty(want, &a, ret_error);
	if (a.error != 0)
		return profile_fail(&a, "", ret_error);
	if (a.files.n == 0)
		return out_of_order(ret_error, "profile", -ENODATA);
	if (a.files.n == 1)
		return take_fd(&a.files.items[0].fd);
	return sum(&a, ret_error);
}

/* ---- CPU time, and traces */

static int refuse(const struct answer *a, const char *refused, struct reply *ret_error)
{
	bool unable = status_of(a->error) == 500 && a->error != EPIPE;

	return profile_fail(a, unable ? refused : "", ret_error);
}

/* What is measured from now on, of @type. A refusal is told behind @refused. */
static int measure(const struct ask *who, const struct scope *scope, const char *type,
		   uint64_t length_ns, const char *refused, struct reply *ret_error)
{
	_cleanup_(answer_done) struct answer a = {};
	_cleanup_close_ int process = profile_open_process(scope);
	struct ask_how how = {
		.timeout_ms = (int)(length_ns / NSEC_PER_MSEC) + PROFD_HTTP_PATIENCE_MS,
		.ended_fd = process,
		.stopped = "incomplete: the process ended during the measurement, which ended "
			   "with it",
	};
	Profd__Snapshot verb = PROFD__SNAPSHOT__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	if (scope->kind == SCOPE_PID && process < 0) {
		reply_error(ret_error, 404, "process %" PRIu32 ": no such process", scope->pid);
		return -ESRCH;
	}
	verb.types = (char **)&type;
	verb.n_types = 1;
	verb.send_files = true;
	verb.seconds_ns = length_ns;
	set_scope(&verb, scope);
	request.verb_case = PROFD__REQUEST__VERB_SNAPSHOT;
	request.snapshot = &verb;
	ask(who, &request, &how, &a);
	if (a.error != 0)
		return refuse(&a, refused, ret_error);
	return a.files.n == 0 ? out_of_order(ret_error, "profile", -ENODATA)
			      : take_fd(&a.files.items[0].fd);
}

int profile_fetch_cpu(const struct ask *who, const struct scope *scope, uint64_t seconds,
		      struct reply *ret_error)
{
	return measure(who, scope, "cpu", seconds * NSEC_PER_SEC,
		       "Could not enable CPU profiling: ", ret_error);
}

int profile_fetch_trace(const struct ask *who, const struct scope *scope, uint64_t length_ns,
			struct reply *ret_error)
{
	return measure(who, scope, "trace", length_ns, "Could not enable tracing: ", ret_error);
}
