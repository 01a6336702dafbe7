/*
 * Clients: they come by the socket or are found in /proc; they go when their
 * pidfd says so, and then their last heap is seen to.
 *
 * The files of a client's modules are opened a moment after it has attached,
 * when its first stacks are in the table, so that they can be symbolized also
 * if the process does not live to see a snapshot. Then is also learnt what the
 * process is part of, and the service manager is given the table: the start of a
 * program is not held up by it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/control/last.h"
#include "daemon/engine_internal.h"
#include "daemon/heap/read.h"
#include "profd/base.h"

#define SCAN_EVERY_NS	      NSEC_PER_SEC
#define OPEN_MODULES_AFTER_US 100000

struct watch {
	struct engine *engine;
	struct heap_client *client;
	sd_event_source *end;	  /* its pidfd */
	sd_event_source *modules; /* when to open its files */
};

static void watch_free(void *userdata)
{
	struct watch *w = userdata;

	if (!w->client->dead) { /* it has called exec: its table is let go of */
		engine_labels_settle(w->engine, w->client);
		engine_collect_client(w->engine, w->client);
	}
	engine_forget_table(w->engine, w->client);
	sd_event_source_disable_unref(w->end);
	sd_event_source_disable_unref(w->modules);
	free(w);
}

static void end_client(struct engine *e, struct heap_client *c)
{
	c->dead = true;
	c->died_unix_ns = clock_unix_ns();
	engine_labels_settle(e, c);
	engine_collect_client(e, c);
	last_heap(&e->ctx, c);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct watch *w = userdata;

	sd_event_source_set_enabled(w->end, SD_EVENT_OFF);
	sd_event_source_set_enabled(w->modules, SD_EVENT_OFF);
	end_client(w->engine, w->client);
	return 0;
}

static int on_open_modules(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct watch *w = userdata;
	struct control_context *ctx = &w->engine->ctx;

	heap_client_learn(ctx->clients, w->client);
	(void)heap_client_open_modules(ctx->keeper, w->client, ctx->modules);
	engine_store_table(w->engine, w->client);
	return 0;
}

static struct watch *new_watch(struct engine *e, struct heap_client *c)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->engine = e;
	w->client = c;
	c->watch = w;
	c->watch_free = watch_free;
	return w;
}

static int watch_client(struct engine *e, struct heap_client *c)
{
	struct watch *w = new_watch(e, c);
	int r;

	if (!w)
		return -ENOMEM;
	r = sd_event_add_io(e->ctx.loop, &w->end, c->pid_fd, EPOLLIN, on_end, w);
	if (r < 0)
		return r;
	return sd_event_add_time_relative(e->ctx.loop, &w->modules, CLOCK_MONOTONIC,
					  OPEN_MODULES_AFTER_US, OPEN_MODULES_AFTER_US / 2,
					  on_open_modules, w);
}

/* One that an earlier profd had may have ended meanwhile. */
int engine_watch_client(struct engine *e, struct heap_client *c)
{
	int r = c->dead ? new_watch(e, c) ? 0 : -ENOMEM : watch_client(e, c);

	if (r < 0)
		heap_clients_remove(e->ctx.clients, c);
	else if (c->dead)
		end_client(e, c);
	return r;
}

/* A process that had ended when its table came may be known from its samples. */
static void name_dead(struct engine *e, struct heap_client *c)
{
	const struct process *process;

	engine_drain(e);
	process = process_peek(e->ctx.processes, c->pid);
	if (process && *process->comm)
		snprintf(c->comm, sizeof(c->comm), "%s", process->comm);
}

int engine_attach(struct engine *e, pid_t pid, uid_t uid, int table_fd)
{
	struct heap_client *c;
	int r = heap_clients_add(e->ctx.clients, pid, uid, table_fd, &c);

	if (r == -EEXIST)
		return 0;
	if (r < 0) {
		e->ctx.counters.attach_refused++;
		e->ctx.counters.attach_other_version += r == -EPROTONOSUPPORT;
		return r;
	}
	if (c->dead) {
		name_dead(e, c);
		end_client(e, c);
		return 0;
	}
	return engine_watch_client(e, c);
}

static void on_found(pid_t pid, uid_t uid, int table_fd, void *userdata)
{
	(void)engine_attach(userdata, pid, uid, table_fd);
}

/* It reads the mappings of every process, so nobody may have it done at will. A
 * private daemon may not look into others, and its clients know its socket. */
void engine_scan_clients(struct engine *e)
{
	uint64_t now = clock_mono_ns();
	char path[PATH_MAX];

	if (e->config->private || (e->scanned_mono_ns && now - e->scanned_mono_ns < SCAN_EVERY_NS))
		return;
	e->scanned_mono_ns = now;
	snprintf(path, sizeof(path), "%s/" SOCKET_NAME, e->config->runtime_dir);
	(void)heap_clients_scan(e->ctx.clients, path, on_found, e);
}
