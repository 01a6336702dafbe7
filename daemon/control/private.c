/*
 * A private daemon belongs to one command: whoever started both says what to watch, and
 * at its end asks for what is left. Profiles of processes that have ended meanwhile lie
 * in the store, or are being written; the others are a series of one round.
 */
#include "daemon/control/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/control/last.h"
#include "daemon/control/replies.h"
#include "daemon/control/types.h"
#include "profd/base.h"

#define FINISH_POLL_US 5000

void private_watch(struct peer *p, const Profd__Watch *q)
{
	char why[512];
	int r;

	if (!p->ctx->private || !p->access.all) {
		peer_error(p, EPERM, "watch: only a private profd does this");
		return;
	}
	if (!types_parse_waits(p, q->types, q->n_types, &p->ctx->last_waits))
		return;
	p->watching = true;
	r = p->ctx->watch(p->ctx->engine, (pid_t)q->pid, q->timers_hz, why, sizeof(why));
	if (r >= 0 && q->offcpu)
		r = p->ctx->offcpu_open(p->ctx->engine, &p->ctx->offcpu, why, sizeof(why));
	if (r < 0)
		peer_error(p, r, "%s", why);
	else
		peer_done(p, 0, 0);
}

static void send_last_file(struct peer *p, const struct last_file *f)
{
	_cleanup_close_ int fd = -1;
	struct dump_result result = {
		.type = f->type,
		.name = f->name,
		.fd = -1,
		.pid = f->pid,
		.comm = f->comm,
		.trim = "",
	};

	if (p->finish_send)
		result.fd = fd = openat(store_dir_fd(p->ctx->store), f->name,
					O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	replies_file(p, &result, 1);
}

/* The last heaps of those that have ended already; they lie in the store. */
static void send_last_files(struct peer *p)
{
	for (const struct last_file *f = p->ctx->last_files; f; f = f->next) {
		if (!p->finish_heap && strcmp(f->type, "heap") == 0)
			continue;
		if (p->finish_own && f->pid != p->ctx->watched)
			continue;
		if (*f->name) {
			send_last_file(p, f);
			p->finish_files++;
		} else {
			replies_on_missing(f->type, f->pid, f->comm, strerror(-f->error), 1, p);
			p->finish_missing++;
		}
	}
}

static void on_finish_done(uint32_t files, uint32_t missing, void *userdata)
{
	struct peer *p = userdata;

	replies_on_done(files + p->finish_files, missing + p->finish_missing, p);
}

/* At idle priority: what clients had sent, and the ends of processes, have been
 * seen by now. Last heaps that are still being written are waited for. */
static int on_finish(sd_event_source *source, uint64_t usec, void *userdata)
{
	static const struct series_handlers handlers = {
		.on_file = replies_on_file,
		.on_missing = replies_on_missing,
		.on_done = on_finish_done,
	};
	struct peer *p = userdata;
	bool any;
	struct series_spec spec = {
		.pid = p->finish_own ? p->ctx->watched : 0,
		.cpu = p->finish_cpu && p->ctx->rotation,
		.offcpu = p->finish_offcpu && p->ctx->offcpu,
		.any_uid = true,
		.count = 1,
		.options = {.trim = true, .send = p->finish_send},
	};

	if (p->ctx->last_pending > 0) {
		sd_event_source_set_time_relative(source, FINISH_POLL_US);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	p->later = sd_event_source_disable_unref(p->later);
	any = series_has_target(p->ctx, &spec);
	spec.heap = p->finish_heap && any;
	spec.waits = any ? p->finish_waits : 0;
	p->finish_files = p->finish_missing = 0;
	send_last_files(p);
	if (!spec.heap && !spec.cpu && !spec.offcpu && !spec.waits)
		peer_done(p, p->finish_files, p->finish_missing);
	else if (series_start(p->ctx, &spec, &handlers, p, &p->series) < 0)
		peer_error(p, ENOMEM, "finish: out of memory");
	return 0;
}

void private_finish(struct peer *p, const Profd__Finish *q)
{
	int r;

	if (!p->ctx->private || !p->access.all) {
		peer_error(p, EPERM, "finish: only a private profd does this");
		return;
	}
	if (p->series || p->later) {
		peer_error(p, EBUSY, "a request of this connection is still under way");
		return;
	}
	p->finish_cpu = q->cpu;
	p->finish_heap = q->heap;
	p->finish_offcpu = q->offcpu;
	p->finish_send = q->send_files;
	if (!types_parse_waits(p, q->types, q->n_types, &p->finish_waits))
		return;
	p->finish_own = q->own;
	r = sd_event_add_time_relative(p->ctx->loop, &p->later, CLOCK_MONOTONIC, 0, 1, on_finish,
				       p);
	if (r >= 0)
		r = sd_event_source_set_priority(p->later, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		peer_error(p, r, "finish: %s", strerror(-r));
}
