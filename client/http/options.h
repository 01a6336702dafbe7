/*
 * The command line of profd-http, checked as a whole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "client/http/listen.h"

#define OPTIONS_MAX_HOSTS 16

struct options { /* strings are of the command line */
	const char *socket;
	const char *listen[LISTEN_MAX];
	size_t n_listen;
	mode_t mode; /* of UNIX sockets */
	const char *hosts[OPTIONS_MAX_HOSTS];
	size_t n_hosts;
	const char *password_file, *tls_certificate, *tls_key;
	bool all_users, private;
	int ready_fd; /* -1: none */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE, /* help or version was printed */
	OPTIONS_BAD,  /* reported */
};

enum options_result options_parse(int argc, char **argv, struct options *ret);
