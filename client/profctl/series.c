/*
 * A series ends with profd's `done`, with an error, or with a signal. Whatever
 * was shown by then is a complete file: a file is saved in one go between two
 * looks at the signals.
 *
 * One file that cannot be had does not end the series. It makes the exit code
 * PROFCTL_FAILED.
 */
#include "client/profctl/series.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/connect.h"
#include "proto/duration.h"
#include "client/profctl/output.h"
#include "client/profctl/save.h"
#include "client/profctl/signals.h"
#include "profd/base.h"

#define PROGRESS_MS 1000

struct state {
	const struct series *series;
	uint64_t started_ns;
	uint32_t index; /* of the last answer */
	bool failed;
	int signals_fd;
};

static void show_progress(const struct state *s)
{
	const struct series *series = s->series;
	uint64_t due_ns, now = clock_mono_ns();
	char of[16] = "", left[DURATION_BYTES];

	if (series->count > 0)
		snprintf(of, sizeof(of), "/%" PRIu32, series->count);
	due_ns = s->started_ns + series->seconds_ns + s->index * series->every_ns;
	if (due_ns <= now) {
		output_progress("snapshot %" PRIu32 "%s ..", s->index + 1, of);
		return;
	}
	duration_format(due_ns - now, left, sizeof(left));
	output_progress("snapshot %" PRIu32 "%s, next in %s", s->index, of, left);
}

static json_t *answer_json(const char *type, uint32_t pid, const char *comm, uint32_t index)
{
	return json_pack("{s:o, s:I, s:o, s:I}", "type", output_json_string(type), "pid",
			 (json_int_t)pid, "comm", output_json_string(comm), "index",
			 (json_int_t)index);
}

static void set_string(json_t *object, const char *key, const char *text)
{
	(void)json_object_set_new(object, key, output_json_string(text));
}

static void show_file(const struct series *series, const Profd__File *file, const char *path)
{
	json_t *object;

	if (file->trim[0] != '\0' && (series->verbose || output_has_progress()))
		output_note("%s (%" PRIu32 "): %s", file->comm, file->pid, file->trim);
	if (!series->ctl->json) {
		output_line("%s", path);
		return;
	}
	object = answer_json(file->type, file->pid, file->comm, file->index);
	set_string(object, "path", path);
	set_string(object, "trim", file->trim);
	(void)output_json(object, false);
}

/* Saves what came with @reply. Returns the path, malloc'd, or NULL, reported. */
static char *save(const struct series *series, const Profd__File *file, int fd)
{
	_cleanup_free_ char *name = NULL;
	char *path = NULL;
	int r = -EBADMSG;

	if (fd >= 0)
		r = save_into(series->dir_fd, file->name, fd, &name);
	if (r < 0) {
		output_error("%s/%s: %s", series->dir, file->name, strerror(-r));
		return NULL;
	}
	if (asprintf(&path, "%s/%s", series->dir, name) < 0)
		return NULL;
	return path;
}

static void take_file(struct state *s, const Profd__File *file, int fd)
{
	const struct series *series = s->series;
	_cleanup_free_ char *path = NULL;

	path = series->dir ? save(series, file, fd) : strdup(file->path);
	if (path)
		show_file(series, file, path);
	else
		s->failed = true;
	s->index = max(s->index, file->index);
}

static void take_missing(struct state *s, const Profd__Missing *missing)
{
	json_t *object;

	if (missing->pid != 0)
		output_error("%s of %s (%" PRIu32 "): %s", missing->type, missing->comm,
			     missing->pid, missing->why);
	else
		output_error("%s: %s", missing->type, missing->why);
	if (s->series->ctl->json) {
		object = answer_json(missing->type, missing->pid, missing->comm, missing->index);
		set_string(object, "missing", missing->why);
		(void)output_json(object, false);
	}
	s->failed = true;
	s->index = max(s->index, missing->index);
}

static int finish(const struct state *s, const Profd__Done *done)
{
	if (done->files == 0 && done->missing == 0) {
		output_error("snapshot: nothing to write: no target has a client attached: see "
			     "\"profctl list\"");
		return PROFCTL_FAILED;
	}
	return s->failed || done->missing > 0 ? PROFCTL_FAILED : PROFCTL_DONE;
}

/* Returns an exit code, or -1: there is more to come. */
static int take_reply(struct state *s, const struct reply *reply)
{
	const Profd__Reply *message = reply->message;

	switch (message->kind_case) {
	case PROFD__REPLY__KIND_FILE:
		take_file(s, message->file, reply->fd);
		break;
	case PROFD__REPLY__KIND_MISSING:
		take_missing(s, message->missing);
		break;
	case PROFD__REPLY__KIND_DONE:
		return finish(s, message->done);
	case PROFD__REPLY__KIND_ERROR:
		output_error("%s", message->error->message);
		return PROFCTL_FAILED;
	default:
		break;
	}
	/* Nobody reads on: without --output, nothing is left to be done here. */
	return output_broken() && !s->series->dir ? PROFCTL_FAILED : -1;
}

static int step(struct state *s, int fd)
{
	_cleanup_(reply_done) struct reply reply = {.fd = -1};
	int number = 0, r;

	show_progress(s);
	r = signals_wait(s->signals_fd, fd, output_has_progress() ? PROGRESS_MS : -1, &number);
	if (r == -ETIMEDOUT)
		return -1;
	output_progress("%s", "");
	if (r == -EINTR)
		return PROFCTL_SIGNAL + number;
	if (r < 0 || connect_receive(fd, &reply) < 0)
		return PROFCTL_FAILED;
	return take_reply(s, &reply);
}

int series_follow(const struct series *series, int fd)
{
	static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
	struct state s = {.series = series, .started_ns = clock_mono_ns()};
	_cleanup_close_ int signals_fd = -1;
	int code;

	signals_fd = signals_open(stopping, ARRAY_SIZE(stopping), NULL);
	if (signals_fd < 0) {
		output_error("signals: %s", strerror(-signals_fd));
		return PROFCTL_FAILED;
	}
	s.signals_fd = signals_fd;
	do {
		code = step(&s, fd);
	} while (code < 0);
	return code;
}
