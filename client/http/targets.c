#include "client/http/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/http/endpoint.h"
#include "profd/base.h"
#include "profd/limits.h"

#define CMDLINE_BYTES (128 * 1024)

void targets_ask(const struct ask *who, bool all, struct answer *ret_answer)
{
	struct ask_how how = {.timeout_ms = PROFD_HTTP_PATIENCE_MS, .ended_fd = -1};
	Profd__List list = PROFD__LIST__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	list.all = all;
	request.verb_case = PROFD__REQUEST__VERB_LIST;
	request.list = &list;
	ask(who, &request, &how, ret_answer);
}

const Profd__Target *targets_get(const struct answer *a, size_t i, const struct scope *scope,
				 bool all)
{
	const Profd__Reply *reply = a->replies.items[i];
	const Profd__Target *t = reply->target;

	if (reply->kind_case != PROFD__REPLY__KIND_TARGET || (!all && !t->attached))
		return NULL;
	switch (scope->kind) {
	case SCOPE_MACHINE:
		return t;
	case SCOPE_PID:
		return t->pid == scope->pid ? t : NULL;
	case SCOPE_COMM:
		return strcmp(t->comm, scope->name) == 0 ? t : NULL;
	case SCOPE_UNIT:
		return strcmp(t->unit, scope->name) == 0 ? t : NULL;
	}
	return NULL;
}

uint32_t targets_only(const struct ask *who, const struct scope *scope, bool all)
{
	_cleanup_(answer_done) struct answer a = {};
	uint32_t pid = 0;

	targets_ask(who, all, &a);
	for (size_t i = 0; a.error == 0 && i < a.replies.n; i++) {
		const Profd__Target *t = targets_get(&a, i, scope, all);

		if (t && pid != 0)
			return 0;
		if (t)
			pid = t->pid;
	}
	return pid;
}

/* ---- cmdline */

static ssize_t read_cmdline(uint32_t pid, char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (n < size) {
		ssize_t got = read(fd, text + n, size - n);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	/* Go puts NULs between the words, and none at the end. */
	return n > 0 && text[n - 1] == '\0' ? (ssize_t)n - 1 : (ssize_t)n;
}

/* The machine has none of its own; it stands for itself. */
void endpoint_cmdline(const struct endpoint *e, struct reply *ret)
{
	const struct scope *scope = &e->path->scope;
	uint32_t pid = targets_only(&e->who, scope, scope->kind == SCOPE_PID);
	_cleanup_free_ char *text = calloc(1, CMDLINE_BYTES);
	ssize_t n = -ESRCH;

	if (!text) {
		reply_error(ret, 500, "out of memory");
		return;
	}
	if (pid != 0)
		n = read_cmdline(pid, text, CMDLINE_BYTES);
	else if (scope->kind == SCOPE_MACHINE)
		n = snprintf(text, CMDLINE_BYTES, "profd");
	if (n < 0) {
		reply_error(ret, 404, "no such process, or more than one, or not yours");
		return;
	}
	*ret = (struct reply){.status = 200, .type = REPLY_TEXT, .text = take_ptr(text), .fd = -1};
	ret->n_text = (size_t)n;
}

/* ---- for programs: Prometheus' HTTP service discovery */

static json_t *string(const char *text)
{
	_cleanup_free_ char *copy = NULL;
	json_t *value = json_string(text);

	if (value || !(copy = strdup(text)))
		return value;
	for (char *p = copy; *p; p++) /* not UTF-8: what is ASCII of it */
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

static json_t *make_target(const struct endpoint *e, const Profd__Target *t)
{
	char pid[16], uid[16], prefix[32];
	json_t *labels;

	snprintf(pid, sizeof(pid), "%" PRIu32, t->pid);
	snprintf(uid, sizeof(uid), "%" PRIu32, t->uid);
	snprintf(prefix, sizeof(prefix), "/pid/%" PRIu32, t->pid);
	labels = json_pack("{s:s, s:s, s:o, s:s, s:o}", "__profile_path_prefix__", prefix, "pid",
			   pid, "comm", string(t->comm), "uid", uid, "service_name",
			   string(*t->unit ? t->unit : t->comm));
	if (labels && *t->unit)
		(void)json_object_set_new(labels, "unit", string(t->unit));
	return json_pack("{s:[o], s:o}", "targets", string(*e->host ? e->host : "localhost"),
			 "labels", labels);
}

void endpoint_targets(const struct endpoint *e, struct reply *ret)
{
	static const struct scope machine = {.kind = SCOPE_MACHINE};
	_cleanup_(answer_done) struct answer a = {};
	json_t *list;
	char *text;

	targets_ask(&e->who, false, &a);
	if (a.error != 0) {
		reply_error(ret, a.error == ECONNREFUSED ? 503 : 500, "%s", a.why);
		return;
	}
	list = json_array();
	for (size_t i = 0; list && i < a.replies.n; i++) {
		const Profd__Target *t = targets_get(&a, i, &machine, false);

		if (t)
			(void)json_array_append_new(list, make_target(e, t));
	}
	text = json_dumps(list, JSON_INDENT(2));
	json_decref(list);
	if (!text) {
		reply_error(ret, 500, "out of memory");
		return;
	}
	*ret = (struct reply){.status = 200, .type = "application/json", .text = text, .fd = -1};
	ret->n_text = strlen(text);
}
