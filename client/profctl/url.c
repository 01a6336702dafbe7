/*
 * One that cannot be had does not end the series: a server may be restarting. The
 * next is due when it would have been anyway, so files stay D apart however long
 * a request takes; one that takes longer than D makes the next come at once.
 *
 * A server is not believed: how much it sends is bounded, it is given up when it
 * sends next to nothing, and what it sends becomes a file only once it has been read
 * as a profile.
 */
#include "client/profctl/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "client/profctl/output.h"
#include "client/profctl/save.h"
#include "client/profctl/signals.h"
#include "profd/base.h"
#include "proto/pprof.h"
#include "proto/publish.h"

#define URL_MAX_BYTES	(256u << 20)
#define URL_CONNECT_S	10L
#define URL_SILENCE_S	60L /* beside what `seconds` asks for */
#define URL_NAME_BYTES	64
#define URL_ERROR_BYTES 512

struct fetch {
	const struct url_series *series;
	int signals_fd;
	int number; /* of the signal that came */
	int fd;	    /* what was received */
	uint64_t n;
	bool go_pprof; /* the body of an error is for people */
	char error[CURL_ERROR_SIZE];
};

/* What the pair "seconds=N" in the query asks to wait for. */
static long seconds_of(const char *url)
{
	const char *query = strchr(url, '?'), *at = query ? strstr(query, "seconds=") : NULL;
	long n = at ? strtol(at + strlen("seconds="), NULL, 10) : 0;

	/* Go's own default for CPU time */
	if (!at && strstr(url, "/profile"))
		n = 30;
	return n < 0 || n > 86400 ? 0 : n;
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
	struct fetch *f = userdata;
	size_t left = size * n;

	if (left > URL_MAX_BYTES - f->n)
		return 0;
	f->n += left;
	while (left > 0) {
		ssize_t written = write(f->fd, bytes, left);

		if (written < 0)
			return 0;
		bytes += written;
		left -= (size_t)written;
	}
	return size * n;
}

static size_t take_header(char *bytes, size_t size, size_t n, void *userdata)
{
	static const char name[] = "x-go-pprof:";
	struct fetch *f = userdata;

	if (size * n > strlen(name) && strncasecmp(bytes, name, strlen(name)) == 0)
		f->go_pprof = true;
	return size * n;
}

/* curl asks now and then whether to go on. */
static int on_progress(void *userdata, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct fetch *f = userdata;
	struct signal_taken taken;

	if (signals_take(f->signals_fd, &taken) < 0)
		return 0;
	f->number = taken.number;
	return 1;
}

static int set_up(CURL *curl, struct fetch *f)
{
	const char *url = f->series->url;
	CURLcode r = CURLE_OK;

	r = r ?: curl_easy_setopt(curl, CURLOPT_URL, url);
	r = r ?: curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	r = r ?: curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	r = r ?: curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_USERAGENT, "profctl/" PROFD_VERSION);
	r = r ?: curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, URL_CONNECT_S);
	r = r ?: curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, URL_SILENCE_S + seconds_of(url));
	r = r ?: curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	r = r ?: curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	r = r ?: curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	r = r ?: curl_easy_setopt(curl, CURLOPT_HEADERDATA, f);
	r = r ?: curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	r = r ?: curl_easy_setopt(curl, CURLOPT_XFERINFODATA, f);
	r = r ?: curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, f->error);
	return r == CURLE_OK ? 0 : -EINVAL;
}

/* The URL without name and password, which are nobody's business. */
static const char *shown(const char *url, char *ret, size_t size)
{
	const char *host = strstr(url, "://"), *at;

	host = host ? host + 3 : url;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	snprintf(ret, size, "%.*s%s", (int)(host - url), url, at ? at + 1 : host);
	return ret;
}

static void report_status(const struct fetch *f, const char *url, long status)
{
	char text[URL_ERROR_BYTES] = "";
	ssize_t n = 0;

	if (f->go_pprof)
		n = pread(f->fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	output_error("%s: HTTP status %ld%s%s", url, status, *text ? ": " : "", text);
}

/* Receives into @f->fd. Returns 0, or -errno, reported. */
static int receive(struct fetch *f, const char *url)
{
	CURL *curl = curl_easy_init();
	long status = 0;
	CURLcode r;

	if (!curl || set_up(curl, f) < 0) {
		output_error("%s: curl cannot be set up for it", url);
		curl_easy_cleanup(curl);
		return -EINVAL;
	}
	r = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (f->number != 0)
		return -EINTR;
	if (r == CURLE_WRITE_ERROR)
		output_error("%s: more than %u MiB, or no memory for it", url, URL_MAX_BYTES >> 20);
	else if (r != CURLE_OK)
		output_error("%s: %s", url, *f->error ? f->error : curl_easy_strerror(r));
	else if (status != 200)
		report_status(f, url, status);
	return r != CURLE_OK || status != 200 ? -EIO : 0;
}

static int check(const struct fetch *f, const char *url)
{
	struct pprof *p = NULL;
	int r = -errno;

	if (lseek(f->fd, 0, SEEK_SET) == 0)
		r = pprof_read(f->fd, URL_MAX_BYTES, &p);
	pprof_free(p);
	if (r == -EBADMSG)
		output_error("%s: what came is no profile: is the address that of a pprof "
			     "endpoint, without debug=1?",
			     url);
	else if (r < 0)
		output_error("%s: %s", url, strerror(-r));
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

static void show(const struct url_series *series, const char *name, uint32_t index, const char *url)
{
	json_t *object;

	if (!series->ctl->json) {
		if (strcmp(series->dir, ".") == 0)
			output_line("%s", name);
		else
			output_line("%s/%s", series->dir, name);
		return;
	}
	object = json_pack("{s:o, s:I, s:o, s:s}", "url", output_json_string(url), "index",
			   (json_int_t)index, "path", output_json_string(name), "dir", series->dir);
	(void)output_json(object, false);
}

/* Returns 0, or -errno, reported; -EINTR: a signal, f->number. */
static int fetch(struct fetch *f, uint32_t index)
{
	_cleanup_close_ int fd = memfd_create("profctl-url", MFD_CLOEXEC);
	_cleanup_free_ char *final = NULL;
	char url[1024], bare[1024], name[256];
	int r;

	shown(f->series->url, url, sizeof(url));
	shown(f->series->url, bare, sizeof(bare));
	f->fd = fd;
	f->n = 0;
	f->go_pprof = false;
	f->error[0] = '\0';
	r = fd < 0 ? -errno : receive(f, url);
	if (r >= 0)
		r = check(f, url);
	if (r < 0)
		return r;
	make_name(bare, name, sizeof(name));
	r = save_into(f->series->dir_fd, name, fd, &final);
	if (r < 0) {
		output_error("%s/%s: %s", f->series->dir, name, strerror(-r));
		return r;
	}
	show(f->series, final, index, url);
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
	struct fetch f = {.series = series};
	_cleanup_close_ int signals_fd = -1;
	int code;

	signals_fd = signals_open(stopping, ARRAY_SIZE(stopping), NULL);
	if (signals_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		output_error("url: cannot be set up");
		return PROFCTL_FAILED;
	}
	f.signals_fd = signals_fd;
	code = follow(&f);
	curl_global_cleanup();
	return code;
}
