/*
 * The engine as a service: what it tells the service manager, and what that keeps
 * for it while it is away.
 *
 * Nothing here wakes the engine but the watchdog's own timer, which a manager
 * that wants to be fed asks for. The status line and what befell the scribe are
 * looked at when retention is, and told if they are news.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "daemon/engine_internal.h"
#include "daemon/notify.h"
#include "daemon/scribe/quarantine.h"
#include "profd/base.h"

/* ---- clients' tables, over a restart */

void engine_store_table(struct engine *e, struct heap_client *c)
{
	struct heap_identity id;
	char name[FDSTORE_NAME_BYTES];

	if (e->config->private || c->stored_name || heap_client_identity(c, &id) < 0)
		return;
	if (e->ctx.tables.stored >= PROFD_MAX_STORED_TABLES) {
		e->ctx.tables.refused++;
		return;
	}
	if (fdstore_put(e->shelf, &id, c->table_fd) < 0)
		return;
	fdstore_name(&id, name);
	c->stored_name = strdup(name);
	if (c->stored_name)
		e->ctx.tables.stored++;
	else
		(void)fdstore_remove(e->shelf, name);
}

/* Not when we end ourselves: then they are to be there afterwards. */
void engine_forget_table(struct engine *e, struct heap_client *c)
{
	if (!c->stored_name || e->leaving)
		return;
	(void)fdstore_remove(e->shelf, c->stored_name);
	free(c->stored_name);
	c->stored_name = NULL;
	e->ctx.tables.stored--;
}

static int restore(struct engine *e, struct fdstore_passed *passed)
{
	struct heap_identity id;
	struct heap_client *c;
	char *name = take_ptr(passed->name);
	int r = fdstore_parse(name, &id);

	if (r >= 0)
		r = heap_clients_restore(e->ctx.clients, &id, take_fd(&passed->fd), &c);
	if (r < 0) {
		(void)fdstore_remove(e->shelf, name);
		free(name);
		return r;
	}
	c->stored_name = name;
	e->ctx.tables.stored++;
	e->ctx.tables.restored++;
	e->ctx.tables.restored_dead += c->dead;
	return engine_watch_client(e, c);
}

void engine_restore_tables(struct engine *e, struct fdstore_handover *handover)
{
	struct control_tables *t = &e->ctx.tables;

	t->invalid += handover->refused;
	for (size_t i = 0; i < handover->n_tables; i++)
		t->invalid += restore(e, &handover->tables[i]) < 0;
	if (t->restored > 0)
		journal_say(&e->ctx.journal, JOURNAL_NOTE, NULL,
			    "%llu heap tables from before, %llu of processes that have ended",
			    (unsigned long long)t->restored, (unsigned long long)t->restored_dead);
	if (t->invalid > 0)
		journal_say(&e->ctx.journal, JOURNAL_TROUBLE, NULL,
			    "%llu stored descriptors were not what they are called, and were "
			    "let go of",
			    (unsigned long long)t->invalid);
}

/* ---- the watchdog */

static int on_feed(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;
	struct watchdog_facts facts = {
		.now_ns = clock_mono_ns(),
		.sampling = e->ctx.sampler,
		.drained_ns = e->drained_ns,
		.jobs = scribe_pending(e->ctx.scribe),
		.finished = scribe_finished(e->ctx.scribe),
	};
	const char *stuck = watchdog_judge(&e->watchdog, &facts);

	if (stuck)
		journal_say(&e->ctx.journal, JOURNAL_STUCK, NULL, "the watchdog is not fed: %s",
			    stuck);
	else
		notify_alive();
	sd_event_source_set_time_relative(source, e->watchdog.every_ns / 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
int engine_start_watchdog(struct engine *e)
{
	uint64_t usec;

	if (e->config->private || sd_watchdog_enabled(false, &usec) <= 0)
		return 0;
	e->watchdog.every_ns = usec * 1000 / 2;
	e->drained_ns = clock_mono_ns();
	return sd_event_add_time_relative(e->ctx.loop, &e->feed_timer, CLOCK_MONOTONIC, usec / 2,
					  usec / 16, on_feed, e);
}

/* ---- news, now and then */

static void tell_quarantined(struct engine *e)
{
	const struct quarantine *quarantine = scribe_quarantine(e->ctx.scribe);
	uint64_t total = quarantine_total(quarantine);
	const struct quarantined *q;
	size_t n = 0;

	while (quarantine_get(quarantine, n))
		n++;
	/* the latest stand last, and of a flood only those that are still known */
	n -= min((uint64_t)n, total - e->quarantined_told);
	for (; (q = quarantine_get(quarantine, n)); n++) {
		struct journal_about about = {.file = q->path};

		journal_say(&e->ctx.journal, JOURNAL_QUARANTINED, &about,
			    "%s: %s: its names are not read any more", q->path, q->why);
	}
	e->quarantined_told = total;
}

static void tell_status(struct engine *e)
{
	char status[NOTIFY_STATUS_BYTES];

	engine_describe(e, status, sizeof(status));
	if (strcmp(status, e->status_told) == 0)
		return;
	notify_status(status);
	memcpy(e->status_told, status, sizeof(status));
}

void engine_tell_started(struct engine *e)
{
	if (*e->status_told)
		return;
	tell_status(e);
	journal_say(&e->ctx.journal, JOURNAL_STARTED, NULL, "%s", e->status_told);
}

void engine_tell_news(struct engine *e)
{
	if (e->config->private)
		return;
	tell_status(e);
	tell_quarantined(e);
}
