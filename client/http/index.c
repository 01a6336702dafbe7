/*
 * Pages for people: what there is of a target, as Go's index page has it, and
 * the list of targets. Names are of other people's processes: each goes through
 * html_put() or url_put(), and no page has a script.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "client/http/endpoint.h"
#include "client/http/profile.h"
#include "client/http/targets.h"
#include "profd/base.h"

#define HTML "text/html; charset=utf-8"

static const struct entry {
	const char *name, *about;
	bool heap; /* as many as the heap has samples */
} entries[] = {
	{"allocs", "All memory allocated since the program started, sampled", true},
	{"block", "Stacks that waited for locks, conditions and other threads", false},
	{"cmdline", "The command line of the program, words divided by NUL bytes", false},
	{"goroutine", "The stacks of all threads now; as threads, too", false},
	{"heap", "Memory in use, sampled. With gc=1 the program first gives its free memory back",
	 true},
	{"mutex", "Stacks that held locks for which others waited", false},
	{"profile", "CPU time; 30 seconds of it, or as many as the parameter seconds says", false},
	{"threadcreate", "Stacks that started threads", false},
	{"threads", "The stacks of all threads now, with their names and what they wait for",
	 false},
	{"trace",
	 "What ran and what waited, for Perfetto and Chrome; one second of it, or as long as the "
	 "parameter seconds says",
	 false},
};

static void put_scope(FILE *to, const struct scope *scope, void (*put)(FILE *, const char *))
{
	switch (scope->kind) {
	case SCOPE_MACHINE:
		return;
	case SCOPE_PID:
		fprintf(to, "/pid/%" PRIu32, scope->pid);
		return;
	case SCOPE_COMM:
	case SCOPE_UNIT:
		fputs(scope->kind == SCOPE_COMM ? "/comm/" : "/unit/", to);
		put(to, scope->name);
		return;
	}
}

static size_t count_samples(const struct endpoint *e)
{
	struct reply error = REPLY_INIT;
	struct pprof *p = NULL;
	size_t n = 0;
	int fd = endpoint_heap(e, &e->path->scope, &error);

	if (fd >= 0 && profile_read(fd, &p) >= 0)
		n = pprof_n_samples(p);
	if (fd >= 0)
		close(fd);
	pprof_free(p);
	reply_done(&error);
	return n;
}

static void put_index(FILE *to, const struct endpoint *e)
{
	const struct scope *scope = &e->path->scope;
	size_t samples = count_samples(e);

	fputs("<html>\n<head>\n<title>", to);
	put_scope(to, scope, html_put);
	fputs("/debug/pprof/</title>\n<style>\n.profile-name{\n\tdisplay:inline-block;\n"
	      "\twidth:6rem;\n}\n</style>\n</head>\n<body>\n",
	      to);
	put_scope(to, scope, html_put);
	fputs("/debug/pprof/<br>\n<br>\nTypes of profiles available:\n<table>\n"
	      "<thead><td>Count</td><td>Profile</td></thead>\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		fprintf(to, "<tr><td>%zu</td><td><a href='%s?debug=1'>%s</a></td></tr>\n",
			entries[i].heap ? samples : 0, entries[i].name, entries[i].name);
	fputs("</table>\n<p>\n<a href=\"/\">all targets</a>\n</p>\n<p>\nProfile "
	      "Descriptions:\n<ul>\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		fprintf(to, "<li><div class=profile-name>%s: </div> %s</li>\n", entries[i].name,
			entries[i].about);
	fputs("</ul>\n</p>\n</body>\n</html>\n", to);
}

void endpoint_index(const struct endpoint *e, struct reply *ret)
{
	char *text = NULL;
	size_t n = 0;
	FILE *stream = open_memstream(&text, &n);

	if (stream)
		put_index(stream, e);
	reply_stream(ret, HTML, stream, &text, &n);
}

static void put_bytes(FILE *to, int64_t bytes)
{
	fprintf(to, "<td align=right>%.1f MB</td>", (double)bytes / 1e6);
}

static void put_link(FILE *to, const char *before, const char *name)
{
	fprintf(to, "<td><a href=\"%s", before);
	url_put(to, name);
	fputs("/debug/pprof/\">", to);
	html_put(to, name);
	fputs("</a></td>", to);
}

static void put_target(FILE *to, const Profd__Target *t)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%" PRIu32, t->pid);
	fputs("<tr>", to);
	put_link(to, "/pid/", pid);
	put_link(to, "/comm/", t->comm);
	if (*t->unit)
		put_link(to, "/unit/", t->unit);
	else
		fputs("<td>-</td>", to);
	put_bytes(to, t->inuse_bytes);
	put_bytes(to, (int64_t)t->rss_bytes);
	fputs("<td>", to);
	html_put(to, t->reason);
	fputs("</td></tr>\n", to);
}

static void put_home(FILE *to, const struct answer *a)
{
	static const struct scope machine = {.kind = SCOPE_MACHINE};
	size_t n = 0;

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<title>profd: targets</title>\n</head>\n<body>\n<h1>Targets</h1>\n<p>\n"
	      "<a href=\"/debug/pprof/\">all together</a> &middot; "
	      "<a href=\"/targets\">for programs</a> &middot; <a href=\"/metrics\">metrics</a>\n"
	      "</p>\n<table cellpadding=\"4\">\n<tr><th>process</th><th>name</th><th>unit</th>"
	      "<th>heap in use</th><th>RSS</th><th></th></tr>\n",
	      to);
	for (size_t i = 0; i < a->replies.n; i++) {
		const Profd__Target *t = targets_get(a, i, &machine, false);

		if (t) {
			put_target(to, t);
			n++;
		}
	}
	fputs("</table>\n", to);
	if (n == 0)
		fputs("<p>None has the heap client: start a program with "
		      "LD_PRELOAD=/usr/lib/profd/libprofd.so. CPU time is there all the "
		      "same.</p>\n",
		      to);
	fputs("</body>\n</html>\n", to);
}

void endpoint_home(const struct endpoint *e, struct reply *ret)
{
	_cleanup_(answer_done) struct answer a = {};
	char *text = NULL;
	FILE *stream;
	size_t n = 0;

	targets_ask(&e->who, false, &a);
	if (a.error != 0) {
		reply_error(ret, a.error == ECONNREFUSED ? 503 : 500, "%s", a.why);
		return;
	}
	stream = open_memstream(&text, &n);
	if (stream)
		put_home(stream, &a);
	reply_stream(ret, HTML, stream, &text, &n);
}
