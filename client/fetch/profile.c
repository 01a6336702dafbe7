/*
 * A server is not believed: how much it sends is bounded, and it is given up when it
 * sends next to nothing. Nothing here looks at what it sends but for an error's text,
 * which is for people where the server says that it is one of ours or Go's.
 */
#include "client/fetch/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/fetch/request.h"
#include "profd/base.h"

#define SILENCE_SECONDS	 60L /* beside what `seconds` asks for */
#define MAX_SECONDS	 86400
#define GO_CPU_SECONDS	 30 /* where the URL does not say */
#define ERROR_TEXT_BYTES 512

struct profile {
	uint64_t n, max_bytes;
	bool go_pprof;		     /* the body of an error is for people */
	char text[ERROR_TEXT_BYTES]; /* how the body begins */
	char error[CURL_ERROR_SIZE];
};

/* What the pair "seconds=N" in the query asks to wait for. */
static long seconds_of(const char *url)
{
	const char *query = strchr(url, '?'), *at = query ? strstr(query, "seconds=") : NULL;
	long n = at ? strtol(at + strlen("seconds="), NULL, 10) : 0;

	if (!at && strstr(url, "/profile"))
		n = GO_CPU_SECONDS;
	return n < 0 || n > MAX_SECONDS ? 0 : n;
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
	struct profile *p = userdata;

	n *= size;
	if (n > p->max_bytes - p->n)
		return 0;
	if (p->n < sizeof(p->text) - 1)
		memcpy(p->text + p->n, bytes, min(n, sizeof(p->text) - 1 - (size_t)p->n));
	p->n += n;
	return request_store(STDOUT_FILENO, bytes, n) < 0 ? 0 : n;
}

static size_t take_header(char *bytes, size_t size, size_t n, void *userdata)
{
	static const char name[] = "x-go-pprof:";
	struct profile *p = userdata;

	if (size * n > strlen(name) && strncasecmp(bytes, name, strlen(name)) == 0)
		p->go_pprof = true;
	return size * n;
}

static int set_up(CURL *curl, const char *url, struct profile *p)
{
	if (request_prepare(curl, url, take_bytes, p) < 0 ||
	    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) != CURLE_OK ||
	    curl_easy_setopt(curl, CURLOPT_HEADERDATA, p) != CURLE_OK ||
	    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, p->error) != CURLE_OK)
		return -EINVAL;
	request_set_patience(curl, 1, SILENCE_SECONDS + seconds_of(url));
	return 0;
}

static int report_status(struct profile *p, long status)
{
	p->text[strcspn(p->text, "\r\n")] = '\0';
	if (!p->go_pprof)
		p->text[0] = '\0';
	fprintf(stderr, "HTTP status %ld%s%s\n", status, *p->text ? ": " : "", p->text);
	return -EIO;
}

static int perform(CURL *curl, struct profile *p)
{
	CURLcode r = curl_easy_perform(curl);
	long status = 0;

	if (r == CURLE_WRITE_ERROR)
		fprintf(stderr, "more than %" PRIu64 " MiB, or no memory for it\n",
			p->max_bytes >> 20);
	else if (r != CURLE_OK)
		fprintf(stderr, "%s\n", *p->error ? p->error : curl_easy_strerror(r));
	if (r != CURLE_OK)
		return -EIO;
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 ? 0 : report_status(p, status);
}

int profile_fetch(const char *url, uint64_t max_bytes)
{
	struct profile p = {.max_bytes = max_bytes};
	CURL *curl = curl_easy_init();
	int r = -EINVAL;

	if (!curl || set_up(curl, url, &p) < 0)
		fprintf(stderr, "not a URL that can be asked for\n");
	else
		r = perform(curl, &p);
	curl_easy_cleanup(curl);
	return r;
}
