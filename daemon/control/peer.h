/*
 * One connection to the control socket: its credentials, what it asked for, and
 * the replies that it has not read yet. Replies never block the daemon: what
 * the socket does not take is queued, and a peer that lets PEER_MAX_QUEUE
 * replies pile up is dropped.
 */
#pragma once

#include <sys/types.h>

#include "daemon/control/access.h"
#include "daemon/control/context.h"
#include "daemon/control/series.h"
#include "daemon/control/users.h"
#include "proto/control.h"
#include "proto/control.pb-c.h"

#define PEER_MAX_QUEUE 16384

struct peer_reply;

struct server;

struct peer {
	struct server *server;
	struct control_context *ctx;
	int fd;
	struct access access;
	struct user *user;
	bool waits; /* for its user to have time again */
	sd_event_source *source;
	struct peer *prev, *next;
	struct peer_reply *first, **last; /* queue */
	size_t queued;
	struct series *series;	/* its request under way */
	sd_event_source *later; /* a `finish` that waits for dumps under way */
	bool finish_cpu, finish_heap, finish_offcpu, finish_send, finish_own;
	unsigned finish_waits;	 /* HEAP_WAITS_BIT */
	uint32_t finish_files;	 /* last heaps sent before the series, */
	uint32_t finish_missing; /* and those that could not be written */
	bool watching;		 /* a private daemon ends with this peer */
	bool dropped;		 /* to be freed when its handler returns */
};

/* Sends or queues. @fd: -1 none; stays the caller's. */
void peer_reply(struct peer *p, const Profd__Reply *reply, int fd);
void peer_error(struct peer *p, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void peer_done(struct peer *p, uint32_t files, uint32_t missing);

/* The queue's head, as far as the socket takes it. False: the peer is lost. */
bool peer_flush(struct peer *p);
bool peer_has_queue(const struct peer *p);
void peer_clear_queue(struct peer *p);

/* Acts on one request; replies follow, now or later. (verbs.c) */
void peer_handle(struct peer *p, const Profd__Request *request, int *fds, size_t n_fds);
