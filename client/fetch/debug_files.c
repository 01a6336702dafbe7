/*
 * Nothing here parses what is fetched: whoever reads a file compares its build-id. How much
 * is taken, of a file and altogether, and how long, is limited (limits.h). A server that
 * cannot be reached is not asked again.
 */
#include "client/fetch/debug_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/fetch/request.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_ID_DIGITS 128
#define STALL_BYTES_S 1024L
#define STALL_SECONDS 30L

struct fetch {
	const struct debug_files *wanted;
	CURL *curl;
	int dir_fd;
	uint64_t start_ns, bytes; /* altogether */
	int fd;			  /* of the file at hand */
	uint64_t file_bytes;
	unsigned n_files;
};

static uint64_t seconds_left(const struct fetch *f)
{
	uint64_t passed = (clock_mono_ns() - f->start_ns) / NSEC_PER_SEC;

	return passed < PROFD_FETCH_SECONDS ? PROFD_FETCH_SECONDS - passed : 0;
}

/* A server need not say how much it sends, nor send what it says. */
static size_t take_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
	struct fetch *f = userdata;

	n *= size;
	if (n > f->wanted->max_file_bytes - f->file_bytes ||
	    n > PROFD_MAX_FETCHED_BYTES - f->bytes || request_store(f->fd, bytes, n) < 0)
		return 0;
	f->file_bytes += n;
	f->bytes += n;
	return n;
}

static int set_up(struct fetch *f, const char *url)
{
	CURL *curl = f->curl;
	int r = request_prepare(curl, url, take_bytes, f);

	if (r < 0)
		return r;
	request_set_patience(curl, STALL_BYTES_S, STALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds_left(f));
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)f->wanted->max_file_bytes);
	return 0;
}

static bool is_unreachable(CURLcode code)
{
	switch (code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
		return true;
	default:
		return false;
	}
}

/* The name and the password in @url are nobody's business. */
static void complain(const char *url, const char *what, bool gives_up)
{
	CURLU *parts = curl_url();
	char *shown = NULL;

	if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_set(parts, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
	    curl_url_set(parts, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK)
		(void)curl_url_get(parts, CURLUPART_URL, &shown, 0);
	fprintf(stderr, "profd-fetch: %s: %s%s\n", shown ? shown : "a server", what,
		gives_up ? ": it is not asked again" : "");
	curl_free(shown);
	curl_url_cleanup(parts);
}

/* True: f->fd holds the file. */
static bool fetch_from(struct fetch *f, char **url, const char *id)
{
	_cleanup_free_ char *whole = NULL;
	size_t n = strlen(*url);
	CURLcode code;

	while (n > 0 && (*url)[n - 1] == '/')
		n--;
	if (asprintf(&whole, "%.*s/buildid/%s/debuginfo", (int)n, *url, id) < 0) {
		whole = NULL;
		return false;
	}
	f->file_bytes = 0;
	if (ftruncate(f->fd, 0) < 0 || lseek(f->fd, 0, SEEK_SET) < 0 || set_up(f, whole) < 0)
		return false;
	code = curl_easy_perform(f->curl);
	if (code == CURLE_OK)
		return f->file_bytes > 0;
	/* It has no such file: that is no trouble. */
	if (code != CURLE_HTTP_RETURNED_ERROR)
		complain(whole,
			 code == CURLE_WRITE_ERROR ? "larger than it may be, or no space left"
						   : curl_easy_strerror(code),
			 is_unreachable(code));
	if (is_unreachable(code))
		*url = NULL;
	return false;
}

/* Gives the file at hand its name. */
static int name_file(struct fetch *f, const char *id)
{
	char path[MAX_ID_DIGITS + 32], self[32];

	snprintf(path, sizeof(path), ".build-id/%.2s", id);
	if ((mkdirat(f->dir_fd, ".build-id", 0700) < 0 && errno != EEXIST) ||
	    (mkdirat(f->dir_fd, path, 0700) < 0 && errno != EEXIST))
		return -errno;
	snprintf(path, sizeof(path), ".build-id/%.2s/%s.debug", id, id + 2);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, f->dir_fd, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int fetch_one(struct fetch *f, const char *id)
{
	char **urls = f->wanted->urls;
	bool found = false;
	int r = 0;

	f->fd = openat(f->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return -errno;
	for (size_t i = 0; !found && i < f->wanted->n_urls && seconds_left(f) > 0; i++)
		found = urls[i] && fetch_from(f, &urls[i], id);
	if (found)
		r = name_file(f, id);
	f->n_files += found && r == 0;
	close(f->fd);
	return r;
}

static bool is_build_id(const char *id)
{
	size_t n = strlen(id);

	return n > 2 && n % 2 == 0 && n <= MAX_ID_DIGITS && strspn(id, "0123456789abcdef") == n;
}

static int fetch_all(struct fetch *f)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	int r = 0;

	while (r == 0 && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = is_build_id(line) ? fetch_one(f, line) : -EINVAL;
	}
	return r;
}

int debug_files_fetch(const struct debug_files *wanted, unsigned *n_files)
{
	struct fetch f = {.wanted = wanted, .start_ns = clock_mono_ns()};
	int r = -ENOMEM;

	f.dir_fd = open(wanted->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.dir_fd < 0)
		return -errno;
	f.curl = curl_easy_init();
	if (f.curl)
		r = fetch_all(&f);
	curl_easy_cleanup(f.curl);
	close(f.dir_fd);
	*n_files += f.n_files;
	return r;
}
