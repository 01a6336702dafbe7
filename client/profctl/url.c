/*
 * One that cannot be had does not end the series: a server may be restarting. The
 * next is due when it would have been anyway, so files stay D apart however long
 * a request takes; one that takes longer than D makes the next come at once.
 *
 * profctl talks to no server: profd-fetch does, one process for each profile, and says
 * what went wrong. What comes becomes a file only once it has been read as a profile.
 */
#include "client/profctl/url.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "client/profctl/save.h"
#include "client/profctl/signals.h"
#include "profd/base.h"
#include "proto/pprof.h"
#include "proto/publish.h"

#define URL_MAX_BYTES	(256u << 20)
#define URL_NAME_BYTES	64
#define URL_ERROR_BYTES 1024

struct fetch {
	const struct url_series *series;
	char *program;	  /* profd-fetch */
	char shown[1024]; /* the URL without name and password, which are nobody's business */
	int signals_fd;
	int number; /* of the signal that came */
	int fd;	    /* what was received */
};

static void hide_password(const char *url, char *ret, size_t size)
{
	const char *host = strstr(url, "://"), *at;

	host = host ? host + 3 : url;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	snprintf(ret, size, "%.*s%s", (int)(host - url), url, at ? at + 1 : host);
}

/* What it says, until it ends. -EINTR: a signal, f->number. */
static int listen_to(struct fetch *f, int said_fd, char *ret_said, size_t size)
{
	size_t n = 0;
	ssize_t got;
	char rest[64];

	for (;;) {
		bool full = n == size - 1;
		int r = signals_wait(f->signals_fd, said_fd, -1, &f->number);

		if (r < 0)
			return r;
		got = read(said_fd, full ? rest : ret_said + n, full ? sizeof(rest) : size - 1 - n);
		if (got <= 0)
			break;
		n += full ? 0 : (size_t)got;
	}
	ret_said[n] = '\0';
	ret_said[strcspn(ret_said, "\n")] = '\0';
	return got < 0 ? -errno : 0;
}

/* profd-fetch, into f->fd. Returns 0, or -errno, and what it said. */
static int ask(struct fetch *f, char *ret_said, size_t size)
{
	char most[24];
	const char *argv[] = {f->program, "--max-bytes", most, "--profile", f->series->url, NULL};
	struct helper_filter how = {.argv = argv, .in_fd = -1, .out_fd = f->fd};
	int pipe_fds[2], r;
	pid_t pid;

	snprintf(most, sizeof(most), "%u", URL_MAX_BYTES);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	how.error_fd = pipe_fds[1];
	r = helper_start(&how, &pid);
	close(pipe_fds[1]);
	if (r == 0) {
		int heard = listen_to(f, pipe_fds[0], ret_said, size);

		if (heard < 0)
			kill(pid, SIGKILL); /* the signals that we take are blocked in it */
		r = helper_wait(pid);
		r = heard < 0 ? heard : r;
	}
	close(pipe_fds[0]);
	return r;
}

/* Returns 0, or -errno, reported; -EINTR: a signal. */
static int receive(struct fetch *f)
{
	char said[URL_ERROR_BYTES] = "";
	int r = ask(f, said, sizeof(said));

	if (r < 0 && r != -EINTR)
		output_error("%s: %s", f->shown, *said ? said : strerror(-r));
	return r;
}

static int check(const struct fetch *f)
{
	struct pprof *p = NULL;
	int r = -errno;

	if (lseek(f->fd, 0, SEEK_SET) == 0)
		r = pprof_read(f->fd, URL_MAX_BYTES, &p);
	pprof_free(p);
	if (r == -EBADMSG)
		output_error("%s: what came is no profile: is the address that of a pprof "
			     "endpoint, without debug=1?",
			     f->shown);
	else if (r < 0)
		output_error("%s: %s", f->shown, strerror(-r));
	return r;
}

/* "heap_localhost_6060_20261121T031244.123Z.pb.gz", by the last part of the path. */
static void make_name(const char *url, char *ret, size_t size)
{
	const char *host = strstr(url, "://") ? strstr(url, "://") + 3 : url;
	size_t n_host = strcspn(host, "/?#"), n_path;
	const char *path = host + n_host, *last;
	char kind[URL_NAME_BYTES], where[URL_NAME_BYTES], clean[2][URL_NAME_BYTES];
	char stamp[PUBLISH_STAMP_BYTES];

	n_path = strcspn(path, "?#");
	last = memrchr(path, '/', n_path);
	last = last ? last + 1 : path;
	snprintf(kind, sizeof(kind), "%.*s", (int)(path + n_path - last), last);
	snprintf(where, sizeof(where), "%.*s", (int)n_host, host);
	publish_clean(*kind ? kind : "profile", clean[0], sizeof(clean[0]));
	publish_clean(where, clean[1], sizeof(clean[1]));
	publish_stamp(clock_unix_ns(), stamp, sizeof(stamp));
	snprintf(ret, size, "%s_%s_%s.pb.gz", clean[0], clean[1], stamp);
}

static void show(const struct fetch *f, const char *name, uint32_t index)
{
	const struct url_series *series = f->series;
	json_t *object;

	if (!series->ctl->json) {
		if (strcmp(series->dir, ".") == 0)
			output_line("%s", name);
		else
			output_line("%s/%s", series->dir, name);
		return;
	}
	object = json_pack("{s:o, s:I, s:o, s:s}", "url", output_json_string(f->shown), "index",
			   (json_int_t)index, "path", output_json_string(name), "dir", series->dir);
	(void)output_json(object, false);
}

/* Returns 0, or -errno, reported; -EINTR: a signal, f->number. */
static int fetch(struct fetch *f, uint32_t index)
{
	_cleanup_close_ int fd = memfd_create("profctl-url", MFD_CLOEXEC);
	_cleanup_free_ char *final = NULL;
	char name[256];
	int r;

	if (fd < 0) {
		r = -errno;
		output_error("%s: %s", f->shown, strerror(-r));
		return r;
	}
	f->fd = fd;
	r = receive(f);
	if (r >= 0)
		r = check(f);
	if (r < 0)
		return r;
	make_name(f->shown, name, sizeof(name));
	r = save_into(f->series->dir_fd, name, fd, &final);
	if (r < 0) {
		output_error("%s/%s: %s", f->series->dir, name, strerror(-r));
		return r;
	}
	show(f, final, index);
	return 0;
}

/* False: a signal came. */
static bool wait_until(struct fetch *f, uint64_t due_ns)
{
	for (;;) {
		uint64_t now = clock_mono_ns(), ms;
		int r;

		if (now >= due_ns)
			return true;
		ms = (due_ns - now) / NSEC_PER_MSEC + 1;
		/* -1 is no descriptor: only signals and the time are waited for */
		r = signals_wait(f->signals_fd, -1, (int)min(ms, (uint64_t)INT32_MAX), &f->number);
		if (r == -EINTR)
			return false;
	}
}

static int follow(struct fetch *f)
{
	const struct url_series *s = f->series;
	uint64_t due_ns = clock_mono_ns();
	bool failed = false;

	for (uint32_t i = 1;; i++) {
		int r = fetch(f, i);

		if (r == -EINTR)
			return PROFCTL_SIGNAL + f->number;
		failed = failed || r < 0;
		if (i == s->count || output_broken())
			break;
		due_ns = max(due_ns + s->every_ns, clock_mono_ns());
		if (!wait_until(f, due_ns))
			return PROFCTL_SIGNAL + f->number;
	}
	return failed || output_broken() ? PROFCTL_FAILED : PROFCTL_DONE;
}

int url_follow(const struct url_series *series)
{
	static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
	_cleanup_free_ char *program = NULL;
	_cleanup_close_ int signals_fd = -1;
	struct fetch f = {.series = series};

	if (helper_find("profd-fetch", &program) < 0)
		return PROFCTL_FAILED;
	signals_fd = signals_open(stopping, ARRAY_SIZE(stopping), NULL);
	if (signals_fd < 0) {
		output_error("signals: %s", strerror(-signals_fd));
		return PROFCTL_FAILED;
	}
	f.program = program;
	f.signals_fd = signals_fd;
	hide_password(series->url, f.shown, sizeof(f.shown));
	return follow(&f);
}
