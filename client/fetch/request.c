#include "client/fetch/request.h"

#include <errno.h>
#include <unistd.h>

#define MAX_REDIRECTS	5L
#define CONNECT_SECONDS 10L

int request_prepare(CURL *curl, const char *url, request_write take, void *userdata)
{
	CURLcode r = CURLE_OK;

	curl_easy_reset(curl);
	r = r ?: curl_easy_setopt(curl, CURLOPT_URL, url);
	r = r ?: curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	r = r ?: curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	r = r ?: curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	r = r ?: curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	r = r ?: curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	r = r ?: curl_easy_setopt(curl, CURLOPT_USERAGENT, "profd/" PROFD_VERSION);
	r = r ?: curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	r = r ?: curl_easy_setopt(curl, CURLOPT_WRITEDATA, userdata);
	return r == CURLE_OK ? 0 : -EINVAL;
}

void request_set_patience(CURL *curl, long bytes_per_s, long seconds)
{
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, bytes_per_s);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, seconds);
}

int request_store(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			n -= (size_t)written;
		}
	}
	return 0;
}
