/*
 * profd-fetch: what profctl asks of servers.
 *
 *	profd-fetch [--max-bytes N] DIRECTORY URL... <BUILD-IDS    for symbolize --debuginfod
 *	profd-fetch [--max-bytes N] --profile URL >FILE            for snapshot --url
 *
 * A program of its own, so that what has a network has nothing else: no other profile, no
 * daemon, no privilege, and it parses nothing of what it fetches; and so that profctl
 * starts without all that HTTPS needs.
 *
 * Build-ids come one a line; how many files were written is said on standard output. What
 * went wrong is said on standard error.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "client/fetch/debug_files.h"
#include "client/fetch/profile.h"
#include "profd/limits.h"

#define EXIT_USAGE 2

static int fetch_debug_files(const struct debug_files *wanted)
{
	unsigned n = 0;
	int r = debug_files_fetch(wanted, &n);

	if (r < 0)
		fprintf(stderr, "profd-fetch: %s: %s\n", wanted->dir, strerror(-r));
	printf("%u\n", n);
	return r;
}

int main(int argc, char **argv)
{
	uint64_t max_bytes = PROFD_MAX_FETCH_BYTES;
	int r;

	if (argc > 2 && strcmp(argv[1], "--max-bytes") == 0) {
		max_bytes = strtoull(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: profd-fetch [--max-bytes N] DIRECTORY URL... <BUILD-IDS\n"
				"       profd-fetch [--max-bytes N] --profile URL >FILE\n");
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN); /* of a server that has gone */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fprintf(stderr, "curl cannot be set up\n");
		return EXIT_FAILURE;
	}
	if (strcmp(argv[1], "--profile") == 0)
		r = profile_fetch(argv[2], max_bytes);
	else
		r = fetch_debug_files(&(struct debug_files){
			.dir = argv[1],
			.urls = argv + 2,
			.n_urls = (size_t)argc - 2,
			.max_file_bytes = max_bytes,
		});
	curl_global_cleanup();
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
