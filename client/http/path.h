/*
 * What a request names: whose profile, and which. Pure functions over the
 * request's target as it stood on the wire; nothing in it is believed.
 *
 *     /debug/pprof/NAME                  of the machine
 *     /pid/N/debug/pprof/NAME            of a process
 *     /comm/NAME/.., /unit/NAME/..       of those of that name, of that unit
 *     / · /metrics · /targets
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_MAX_NAME 256 /* bytes of a decoded segment */

enum scope_kind {
	SCOPE_MACHINE,
	SCOPE_PID,
	SCOPE_COMM,
	SCOPE_UNIT,
};

struct scope {
	enum scope_kind kind;
	uint32_t pid;		  /* SCOPE_PID */
	char name[PATH_MAX_NAME]; /* SCOPE_COMM, SCOPE_UNIT */
};

enum path_kind {
	PATH_NOTHING,  /* 404 */
	PATH_BAD,      /* 400 */
	PATH_REDIRECT, /* `location` is where */
	PATH_HOME,
	PATH_METRICS,
	PATH_TARGETS,
	PATH_INDEX,   /* .../debug/pprof/ */
	PATH_PROFILE, /* `name` under it */
};

struct path {
	enum path_kind kind;
	struct scope scope;
	char name[PATH_MAX_NAME];
	char *location;	   /* malloc'd: clean, with the query, fit for a header */
	const char *query; /* in the target; "" */
};

/* @target: "/path?query", which has to outlive the result. Returns 0 or -ENOMEM. */
int path_parse(const char *target, struct path *ret_path);
void path_done(struct path *path);

/* The first value of @key in @query, decoded. False: there is none, or it is
 * longer than @size. */
bool query_get(const char *query, const char *key, char *ret, size_t size);

/* Whether @key is there at all. */
bool query_has(const char *query, const char *key);

/* As Go's strconv reads a decimal number. Returns 0; -EINVAL, and 0 in *ret; -ERANGE,
 * and the nearest number. */
int query_number(const char *text, int64_t *ret);
/* Likewise one that may be fractional; 0: it is none, or too large. */
double query_fraction(const char *text);

/* The value of @key as Go's Atoi gives it, errors ignored; 0 if there is none. */
int64_t query_number_of(const char *query, const char *key);
