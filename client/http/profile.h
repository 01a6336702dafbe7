/*
 * Profiles as files: what profd sends, put together, subtracted, looked into.
 * Each function gives a file that is complete, or a reply that says why not.
 */
#pragma once

#include <stdint.h>

#include "client/http/ask.h"
#include "client/http/path.h"
#include "client/http/reply.h"
#include "proto/pprof.h"

struct profile_kind {
	const char *name;  /* in the URL */
	const char *delta; /* the file name of a difference */
	const char *type;  /* profd's */
	const char *value; /* sample types beside "delay" or none; NULL: those of heaps */
	bool delay;	   /* value/count and delay/nanoseconds */
	const char *word;  /* of a thread, where it is threads that are told; or NULL */
	const char *shown; /* default sample type of another than profd gives; or NULL */
};

/* NULL: there is no such profile. */
const struct profile_kind *profile_find_kind(const char *name);
/* Of what and how. */
struct profile_want {
	const struct ask *who;
	const struct scope *scope;
	const struct profile_kind *kind;
	bool trim;
};

/* The profile at this moment, of all targets of the scope, summed: gzip'd, in an
 * unnamed file. Returns the descriptor, or -errno and an error in *ret_error. */
int profile_fetch(const struct profile_want *want, struct reply *ret_error);

/* What was added in @seconds from now. */
int profile_fetch_delta(const struct profile_want *want, uint64_t seconds, struct reply *ret_error);

/* CPU time of @seconds from now. */
int profile_fetch_cpu(const struct ask *who, const struct scope *scope, uint64_t seconds,
		      struct reply *ret_error);
/* A trace of so long from now; it is no profile. */
int profile_fetch_trace(const struct ask *who, const struct scope *scope, uint64_t length_ns,
			struct reply *ret_error);

/* @fd is read from its beginning, whatever its position. 0 or -errno. */
int profile_read(int fd, struct pprof **ret_p);
/* Another file like the one at @fd that shows @type by default. */
int profile_show(int fd, const char *type, struct reply *ret_error);

/* The process of a scope that is one; -1: none, or it is no more. */
int profile_open_process(const struct scope *scope);
