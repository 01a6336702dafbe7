/*
 * What each path answers, as Go's net/http/pprof does. One call a request, from
 * any thread; it may take as long as a profile takes.
 */
#pragma once

#include "client/http/ask.h"
#include "client/http/cache.h"
#include "client/http/path.h"
#include "client/http/reply.h"

struct endpoint_counts { /* since the start */
	int64_t start_unix_ns;
	uint64_t requests, refused, closed;
	unsigned connections; /* now */
};

struct endpoint {
	const struct path *path;
	struct ask who;
	struct cache *cache;
	const char *host; /* the request's Host, checked; "" */
	bool post;
	const char *body; /* of a POST; "" */
	struct endpoint_counts counts;
};

void endpoint_serve(const struct endpoint *e, struct reply *ret);

/* The heap of the scope without a trim, perhaps of a moment ago. A descriptor, or
 * -errno and an error. (endpoint.c, for the others) */
int endpoint_heap(const struct endpoint *e, const struct scope *scope, struct reply *ret_error);

/* Each in a file of its name. */
void endpoint_symbol(const struct endpoint *e, struct reply *ret);
void endpoint_cmdline(const struct endpoint *e, struct reply *ret);
void endpoint_index(const struct endpoint *e, struct reply *ret);
void endpoint_home(const struct endpoint *e, struct reply *ret);
void endpoint_targets(const struct endpoint *e, struct reply *ret);
void endpoint_metrics(const struct endpoint *e, struct reply *ret);
