#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/series-state.h"

bool series_matches(const struct series_spec *spec, const struct heap_client *c)
{
	if (!spec->any_uid && c->uid != spec->uid)
		return false;
	if (spec->pid && spec->pid != c->pid)
		return false;
	if (*spec->comm && strcmp(spec->comm, c->comm) != 0)
		return false;
	return !*spec->unit || (c->unit && strcmp(spec->unit, c->unit) == 0);
}

bool series_has_target(const struct control_context *ctx, const struct series_spec *spec)
{
	for (struct heap_client *c = heap_clients_first(ctx->clients); c; c = c->next)
		if (!c->dead && series_matches(spec, c))
			return true;
	return false;
}

void series_tell_missing(struct series *s, const char *type, const struct heap_client *c,
			 const char *why)
{
	s->missing++;
	if (s->handlers.on_missing)
		s->handlers.on_missing(type, c ? c->pid : 0, c ? c->comm : "", why, s->index,
				       s->userdata);
}

static bool has_target(const struct series *s, const struct heap_client *c)
{
	for (const struct target *t = s->targets; t; t = t->next)
		if (t->client == c)
			return true;
	return false;
}

void series_add_targets(struct series *s)
{
	struct heap_client *c = heap_clients_first(s->ctx->clients);

	for (; c; c = c->next) {
		struct target *t;

		if (c->dead || !series_matches(&s->spec, c) || has_target(s, c))
			continue;
		t = calloc(1, sizeof(*t));
		if (!t) {
			series_tell_missing(s, "heap", c, strerror(ENOMEM));
			continue;
		}
		t->client = heap_client_ref(c);
		t->next = s->targets;
		s->targets = t;
	}
}

void series_drop_ended(struct series *s)
{
	for (struct target **at = &s->targets; *at;) {
		struct target *t = *at;

		if (!t->client->dead && !t->client->removed) {
			at = &t->next;
			continue;
		}
		/* the rotation has no one to tell: a process may end */
		if (!s->spec.rotation)
			series_tell_missing(s, "heap", t->client,
					    t->client->dead
						    ? "the process has exited"
						    : "the process runs another program now");
		*at = t->next;
		heap_client_unref(t->client);
		free(t);
	}
}
