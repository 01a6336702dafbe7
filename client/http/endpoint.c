/*
 * The order of the checks, and what is an error and what a default, are those of
 * Go's handlers: a bad `seconds` is an error for a heap and means 30 for CPU time.
 */
#include "client/http/endpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "client/http/profile.h"
#include "client/http/targets.h"
#include "client/http/text.h"
#include "profd/base.h"
#include "profd/limits.h"

#define CPU_DEFAULT_SECONDS   30
#define TRACE_DEFAULT_SECONDS 1

static void make_key(const struct endpoint *e, const struct scope *scope, char *ret)
{
	char who[16] = "all";

	if (e->who.narrowed)
		snprintf(who, sizeof(who), "%u", e->who.uid);
	snprintf(ret, CACHE_KEY_BYTES, "%s/%d/%" PRIu32 "/%s", who, scope->kind, scope->pid,
		 scope->name);
}

int endpoint_heap(const struct endpoint *e, const struct scope *scope, struct reply *ret_error)
{
	struct profile_want want = {
		.who = &e->who, .scope = scope, .kind = profile_find_kind("heap")};
	char key[CACHE_KEY_BYTES];
	int fd;

	make_key(e, scope, key);
	fd = cache_get(e->cache, key);
	if (fd == -EMFILE)
		reply_error(ret_error, 503, "too many open files");
	if (fd != -ENOENT)
		return fd;
	fd = profile_fetch(&want, ret_error);
	cache_put(e->cache, key, fd);
	return fd;
}

/* Also what `seconds` beyond the limit is answered with: the name is Go's. */
static bool is_too_long(int64_t seconds, struct reply *ret)
{
	if (seconds <= PROFD_HTTP_MAX_SECONDS)
		return false;
	reply_error(ret, 400, "profile duration exceeds server's WriteTimeout");
	return true;
}

/* Who may not see the machine may have one process on it. */
static void choose_process(const struct endpoint *e, struct scope *scope)
{
	if (scope->kind != SCOPE_MACHINE || !e->who.narrowed)
		return;
	scope->pid = targets_only(&e->who, scope, false);
	scope->kind = scope->pid != 0 ? SCOPE_PID : SCOPE_MACHINE;
}

/* Go's: may be fractional; what is no number, or not above zero, means one second. */
static void serve_trace(const struct endpoint *e, struct reply *ret)
{
	struct scope scope = e->path->scope;
	double seconds = TRACE_DEFAULT_SECONDS;
	char text[64] = "";
	int fd;

	if (query_get(e->path->query, "seconds", text, sizeof(text)))
		seconds = query_fraction(text);
	if (!(seconds > 0))
		seconds = TRACE_DEFAULT_SECONDS;
	if (is_too_long((int64_t)min(seconds, PROFD_HTTP_MAX_SECONDS + 1.0), ret))
		return;
	choose_process(e, &scope);
	fd = profile_fetch_trace(&e->who, &scope,
				 max((uint64_t)(seconds * (double)NSEC_PER_SEC), NSEC_PER_MSEC),
				 ret);
	if (fd >= 0)
		reply_profile(ret, fd, "trace");
}

static void serve_cpu(const struct endpoint *e, struct reply *ret)
{
	struct scope scope = e->path->scope;
	int64_t seconds = 0;
	char text[32] = "";
	int r, fd;

	r = query_get(e->path->query, "seconds", text, sizeof(text)) ? query_number(text, &seconds)
								     : -EINVAL;
	if (r < 0 || seconds <= 0)
		seconds = CPU_DEFAULT_SECONDS;
	if (is_too_long(seconds, ret))
		return;
	choose_process(e, &scope);
	fd = profile_fetch_cpu(&e->who, &scope, (uint64_t)seconds, ret);
	if (fd >= 0)
		reply_profile(ret, fd, "profile");
}

static void serve_delta(const struct endpoint *e, const struct profile_kind *kind, const char *text,
			struct reply *ret)
{
	struct profile_want want = {.who = &e->who, .scope = &e->path->scope, .kind = kind};
	int64_t seconds = 0;
	int fd;

	if (query_number(text, &seconds) < 0 || seconds <= 0) {
		reply_error(ret, 400, "invalid value for \"seconds\" - must be a positive integer");
		return;
	}
	if (is_too_long(seconds, ret))
		return;
	if (query_number_of(e->path->query, "debug") != 0) {
		reply_error(ret, 400, "seconds and debug params are incompatible");
		return;
	}
	fd = profile_fetch_delta(&want, (uint64_t)seconds, ret);
	if (fd >= 0)
		reply_profile(ret, fd, kind->delta);
}

static void freep_pprof(struct pprof **p)
{
	pprof_free(*p);
}

static void serve_text(const struct profile_kind *kind, int64_t debug, int fd, struct reply *ret)
{
	_cleanup_(freep_pprof) struct pprof *p = NULL;
	char *text = NULL;
	FILE *stream;
	size_t n = 0;
	int r = profile_read(fd, &p);

	if (r < 0) {
		reply_error(ret, 500, "profile: %s", strerror(-r));
		return;
	}
	stream = open_memstream(&text, &n);
	if (stream && kind->word && debug >= 2)
		text_put_threads(stream, p, kind->word);
	else if (stream && kind->value)
		text_put_counts(stream, p, kind->name);
	else if (stream)
		text_put_heap(stream, p);
	reply_stream(ret, REPLY_TEXT, stream, &text, &n);
}

/* Takes @fd over. */
static void show(const struct profile_kind *kind, int fd, struct reply *ret)
{
	int other;

	if (!kind->shown) {
		reply_profile(ret, fd, kind->name);
		return;
	}
	other = profile_show(fd, kind->shown, ret);
	close(fd);
	if (other >= 0)
		reply_profile(ret, other, kind->name);
}

static void serve_kind(const struct endpoint *e, const struct profile_kind *kind, struct reply *ret)
{
	bool heap = strcmp(kind->type, "heap") == 0;
	struct profile_want want = {
		.who = &e->who,
		.scope = &e->path->scope,
		.kind = kind,
		.trim = strcmp(kind->name, "heap") == 0 &&
			query_number_of(e->path->query, "gc") > 0,
	};
	int64_t debug = query_number_of(e->path->query, "debug");
	char seconds[32] = "";
	int fd;

	/* An empty value is none; one that is too long is no number. */
	if (query_has(e->path->query, "seconds")) {
		if (!query_get(e->path->query, "seconds", seconds, sizeof(seconds)))
			seconds[0] = '?';
		if (*seconds) {
			serve_delta(e, kind, seconds, ret);
			return;
		}
	}
	fd = heap && !want.trim ? endpoint_heap(e, &e->path->scope, ret)
				: profile_fetch(&want, ret);
	if (fd < 0)
		return;
	if (debug == 0) {
		show(kind, fd, ret);
		return;
	}
	serve_text(kind, debug, fd, ret);
	close(fd);
}

static void serve_profile(const struct endpoint *e, struct reply *ret)
{
	const struct profile_kind *kind = profile_find_kind(e->path->name);

	if (strcmp(e->path->name, "profile") == 0)
		serve_cpu(e, ret);
	else if (strcmp(e->path->name, "trace") == 0)
		serve_trace(e, ret);
	else if (strcmp(e->path->name, "cmdline") == 0)
		endpoint_cmdline(e, ret);
	else if (strcmp(e->path->name, "symbol") == 0)
		endpoint_symbol(e, ret);
	else if (kind)
		serve_kind(e, kind, ret);
	else
		reply_error(ret, 404, "Unknown profile");
}

void endpoint_serve(const struct endpoint *e, struct reply *ret)
{
	*ret = (struct reply)REPLY_INIT;
	switch (e->path->kind) {
	case PATH_NOTHING:
		reply_plain_error(ret, 404, "404 page not found");
		return;
	case PATH_BAD:
		reply_plain_error(ret, 400, "400 Bad Request");
		return;
	case PATH_REDIRECT:
		reply_redirect(ret, e->path->location);
		return;
	case PATH_HOME:
		endpoint_home(e, ret);
		return;
	case PATH_METRICS:
		endpoint_metrics(e, ret);
		return;
	case PATH_TARGETS:
		endpoint_targets(e, ret);
		return;
	case PATH_INDEX:
		endpoint_index(e, ret);
		return;
	case PATH_PROFILE:
		serve_profile(e, ret);
		return;
	}
}
