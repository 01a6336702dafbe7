/*
 * The HTTP server: connections, their limits and deadlines, who may ask. A thread
 * a connection, so that a profile of 30 seconds may take its time; there are at
 * most PROFD_HTTP_MAX_CONNECTIONS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/http/guard.h"
#include "client/http/listen.h"
#include "client/http/password.h"

struct server_options {
	const char *socket;	     /* profd's */
	bool all_users;		     /* local users see what we may see, whoever they are */
	bool no_group;		     /* group profd means nothing: profd is one user's own */
	struct passwords *passwords; /* NULL: none are asked for; stays the caller's */
	struct guard guard;
	char *tls_certificate, *tls_key; /* PEM; NULL: no TLS */
};

struct server;

/* Sockets are taken over, options stay the caller's and outlive the server. Signals
 * that the threads shall not have must be blocked. Returns 0 or -errno. */
int server_new(const struct server_options *options, struct listener *listeners, size_t n,
	       struct server **ret_server);
/* Ends requests under way. NULL is fine. */
void server_free(struct server *server);

/* Closes connections whose time is over; to be called every second or so. */
void server_tick(struct server *server);
