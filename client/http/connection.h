/*
 * Connections and their deadlines. The library closes those that are silent; a
 * peer that sends a byte now and then, or takes one, is never silent. So each
 * connection has a moment at which it is cut off: by then its request must have
 * arrived, or its answer been taken. While an answer is being made it has none.
 *
 * Safe from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/http/identity.h"

struct connection {
	int fd;
	uint64_t deadline_ms; /* 0: none */
	bool identified;
	struct identity identity;
	struct connection *prev, *next;
};

struct connections {
	pthread_mutex_t lock;
	struct connection *first;
	unsigned n;
	uint64_t cut_off; /* since the start */
};

void connections_init(struct connections *c);
void connections_done(struct connections *c);

/* NULL: no memory. It has PROFD_HTTP_REQUEST_SECONDS to send a request. */
struct connection *connection_new(struct connections *c, int fd);
void connection_free(struct connections *c, struct connection *connection);

/* It is cut off in @seconds; never if 0. */
void connection_set_deadline(struct connections *c, struct connection *connection,
			     uint64_t seconds);

/* Cuts off those whose time is over. */
void connections_tick(struct connections *c);
void connections_count(struct connections *c, unsigned *ret_n, uint64_t *ret_cut_off);
