/*
 * Sockets to listen on: made here, or handed over by systemd.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LISTEN_MAX	  8
#define LISTEN_NAME_BYTES 128

struct listener {
	int fd;
	bool local; /* loopback or UNIX: nobody from elsewhere gets there */
	bool is_unix;
	bool made;		      /* here: a UNIX socket is ours to remove */
	char name[LISTEN_NAME_BYTES]; /* "127.0.0.1:6060", "/run/profd-http.sock" */
};

/* @address: "127.0.0.1:6060", "[::1]:6060", ":6060" (all addresses), "/path" or
 * "unix:/path", which gets @mode. Returns 0; -EINVAL: none of these; -EADDRINUSE and
 * what else bind() says. A socket that is left over from a dead process is replaced. */
int listen_open(const char *address, mode_t mode, struct listener *ret);

/* Those of systemd (LISTEN_FDS), as many as there are, at most LISTEN_MAX. Returns 0,
 * or -EINVAL: one is not a listening stream socket. */
int listen_inherited(struct listener ret[LISTEN_MAX], size_t *ret_n);

void listen_close(struct listener *l);
