/*
 * The control socket: listens, accepts, reads one message a packet, hands it to
 * the verbs. A peer whose packet does not parse is dropped and counted; nothing
 * else notices.
 */
#pragma once

#include "daemon/control/context.h"

struct server;

/* Makes the socket at @path (replacing one that nobody listens on), mode 0666:
 * who may do what is decided by credentials. Or takes over @socket, not -1, which
 * listens already, and stays where it is in the end. -EADDRINUSE: another profd is
 * there. */
int server_new(struct control_context *ctx, const char *path, int socket,
	       struct server **ret_server);
void server_free(struct server *s); /* removes the socket that it made */

size_t server_peers(const struct server *s);
