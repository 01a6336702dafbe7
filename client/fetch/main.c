/*
 * profd-fetch: debug files from debuginfod servers, for `profctl symbolize --debuginfod`.
 *
 *	profd-fetch [--max-bytes N] DIRECTORY URL... <build-ids, one a line
 *
 * A program of its own, so that what has a network has nothing else: no profile, no daemon,
 * no privilege, and it parses nothing of what it fetches. It asks for
 * URL/buildid/ID/debuginfo, of one server after the other, and writes what it gets to
 * DIRECTORY/.build-id/xx/yyyy.debug; whoever reads that compares the build-id. How much it
 * takes, of a file (--max-bytes) and altogether, and how long, is limited (limits.h). A server that
 *cannot be reached is not asked again.
 *
 * Says on standard output how many files it wrote, on standard error what went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "profd/base.h"
#include "profd/limits.h"

#define MAX_ID_DIGITS	128
#define MAX_REDIRECTS	4L
#define CONNECT_SECONDS 10L
#define STALL_SECONDS	30L /* in which less than a kilobyte a second comes */

struct fetch {
	CURL *curl;
	int dir_fd;
	char **urls; /* NULL: cannot be reached */
	size_t n_urls;
	uint64_t max_file_bytes;
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
	size_t left = n * size;

	n = left;
	if (n > f->max_file_bytes - f->file_bytes || n > PROFD_MAX_FETCHED_BYTES - f->bytes)
		return 0;
	while (left > 0) {
		ssize_t written = write(f->fd, bytes, left);

		if (written < 0 && errno != EINTR)
			return 0;
		if (written > 0) {
			bytes += written;
			left -= (size_t)written;
		}
	}
	f->file_bytes += n;
	f->bytes += n;
	return n;
}

static int set_up(struct fetch *f, const char *url)
{
	CURL *curl = f->curl;

	curl_easy_reset(curl);
	if (curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
	    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") != CURLE_OK)
		return -EINVAL;
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds_left(f));
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)f->max_file_bytes);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "profd/" PROFD_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
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

/* True: f->fd holds the file. */
static bool fetch_from(struct fetch *f, char **url, const char *id)
{
	_cleanup_free_ char *whole = NULL;
	CURLcode code;

	size_t n = strlen(*url);

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
		fprintf(stderr, "%s: %s\n", whole,
			code == CURLE_WRITE_ERROR ? "larger than it may be, or no space left"
						  : curl_easy_strerror(code));
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
	bool found = false;
	int r = 0;

	f->fd = openat(f->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return -errno;
	for (size_t i = 0; !found && i < f->n_urls && seconds_left(f) > 0; i++)
		found = f->urls[i] && fetch_from(f, &f->urls[i], id);
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

static int run(struct fetch *f, const char *dir)
{
	int r = -ENOMEM;

	f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		return -errno;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		f->curl = curl_easy_init();
	if (f->curl)
		r = fetch_all(f);
	curl_easy_cleanup(f->curl);
	profd_closep(&f->dir_fd);
	return r;
}

int main(int argc, char **argv)
{
	struct fetch f = {.start_ns = clock_mono_ns(), .max_file_bytes = PROFD_MAX_FETCH_BYTES};
	int r;

	if (argc > 2 && strcmp(argv[1], "--max-bytes") == 0) {
		f.max_file_bytes = strtoull(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: profd-fetch [--max-bytes N] DIRECTORY URL... <BUILD-IDS\n");
		return 2;
	}
	f.urls = argv + 2;
	f.n_urls = (size_t)argc - 2;
	r = run(&f, argv[1]);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
	printf("%u\n", f.n_files);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
