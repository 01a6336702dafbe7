/*
 * What a peer may ask, a function a verb. Each checks the request as a whole,
 * then answers or starts the series that will.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/last.h"
#include "daemon/control/list.h"
#include "daemon/control/peer.h"
#include "daemon/control/report.h"
#include "daemon/control/types.h"
#include "profd/base.h"
#include "profd/heap_table.h"
#include "profd/limits.h"

#define FINISH_POLL_US 5000

/* ---- replies of a series */

static void send_file(struct peer *p, const struct dump_result *result, uint32_t index)
{
	Profd__File file = PROFD__FILE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;
	char path[PROFD_MAX_PATH + STORE_NAME_BYTES] = "";

	if (result->fd < 0)
		snprintf(path, sizeof(path), "%s/%s", store_dir(p->ctx->store), result->name);
	file.type = (char *)result->type;
	file.name = (char *)result->name;
	file.path = path;
	file.pid = (uint32_t)result->pid;
	file.comm = (char *)result->comm;
	file.index = index;
	file.trim = (char *)result->trim;
	reply.kind_case = PROFD__REPLY__KIND_FILE;
	reply.file = &file;
	peer_reply(p, &reply, result->fd);
}

static void on_file(const struct dump_result *result, uint32_t index, void *userdata)
{
	struct peer *p = userdata;

	if (!p->access.all) /* what it took is not all ours to measure */
		users_charge(p->user, PROFD_USER_FILE_MS * NSEC_PER_MSEC, clock_mono_ns());
	send_file(p, result, index);
}

static void on_missing(const char *type, pid_t pid, const char *comm, const char *why,
		       uint32_t index, void *userdata)
{
	Profd__Missing missing = PROFD__MISSING__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	missing.type = (char *)type;
	missing.pid = (uint32_t)pid;
	missing.comm = (char *)comm;
	missing.why = (char *)why;
	missing.index = index;
	reply.kind_case = PROFD__REPLY__KIND_MISSING;
	reply.missing = &missing;
	peer_reply(userdata, &reply, -1);
}

static void on_done(uint32_t files, uint32_t missing, void *userdata)
{
	struct peer *p = userdata;

	p->series = NULL;
	peer_done(p, files, missing);
}

static const struct series_handlers to_peer = {
	.on_file = on_file,
	.on_missing = on_missing,
	.on_done = on_done,
};

/* ---- snapshot */

/* The profiles that the preload client makes. */
static bool wants_client(const struct series_spec *spec)
{
	return spec->heap || spec->waits;
}

/* A process that has ended can still be asked about, of the current window, by
 * those who may see everybody's: whose it was is no longer known. */
static bool was_sampled(const struct peer *p, const struct series_spec *spec)
{
	if (!spec->cpu || wants_client(spec) || !p->access.all || !p->ctx->rotation)
		return false;
	p->ctx->drain(p->ctx->engine);
	return window_has_process(p->ctx->rotation, spec->pid);
}

static bool check_pid(struct peer *p, struct series_spec *spec)
{
	const struct heap_refusal *refusal;
	char why[256];
	uid_t uid;
	int r = process_read_owner(p->ctx->keeper, spec->pid, &uid);

	if (r < 0 && was_sampled(p, spec))
		return true;
	if (r < 0) {
		peer_error(p, ESRCH, "process %d: no such process", (int)spec->pid);
		return false;
	}
	if (!p->access.all && uid != p->access.uid) {
		peer_error(p, EACCES,
			   "process %d: belongs to another user, or may not be looked into: "
			   "ask as root or as a member of group profd",
			   (int)spec->pid);
		return false;
	}
	if (wants_client(spec) && !heap_clients_find(p->ctx->clients, spec->pid)) {
		refusal = heap_refusals_find(heap_clients_refused(p->ctx->clients), p->ctx->keeper,
					     spec->pid);
		if (refusal) {
			heap_refusal_describe(refusal, why, sizeof(why));
			peer_error(p, EPROTONOSUPPORT, "process %d: %s", (int)spec->pid, why);
			return false;
		}
		peer_error(p, ENOENT,
			   "process %d: is not attached: start it with LD_PRELOAD=libprofd.so, "
			   "or ask for --type cpu",
			   (int)spec->pid);
		return false;
	}
	return true;
}

static bool any_target(const struct peer *p, const struct series_spec *spec)
{
	for (struct heap_client *c = heap_clients_first(p->ctx->clients); c; c = c->next)
		if (!c->dead && series_matches(spec, c))
			return true;
	return false;
}

static bool check_cpu(struct peer *p, const struct series_spec *spec)
{
	if (spec->cpu && !p->ctx->rotation) {
		peer_error(p, ENOTSUP, "cpu: no samples are being taken: %s",
			   p->ctx->no_sampler ?: "nothing is watched");
		return false;
	}
	/* the scheduler of all is not slowed down for one */
	if ((spec->offcpu || spec->trace) && !p->access.all && !spec->pid) {
		peer_error(p, EACCES,
			   "%s: the whole machine is for root and group profd: name a process "
			   "of yours with --pid",
			   spec->offcpu ? "offcpu" : "trace");
		return false;
	}
	return true;
}

/* The state directory is not open to them, and is not theirs to fill. */
static bool check_place(struct peer *p, const struct series_spec *spec)
{
	if (p->access.all || spec->options.send)
		return true;
	peer_error(p, EACCES,
		   "the state directory is for root and group profd: say where to with --output");
	return false;
}

static bool check_targets(struct peer *p, struct series_spec *spec)
{
	/* for clients that could not reach the socket */
	if (wants_client(spec) && !(spec->pid && heap_clients_find(p->ctx->clients, spec->pid)))
		p->ctx->scan(p->ctx->engine);
	if (*spec->unit)
		heap_clients_learn(p->ctx->clients);
	if (spec->pid && !check_pid(p, spec))
		return false;
	if ((spec->cpu || spec->offcpu || spec->trace) && !check_cpu(p, spec))
		return false;
	types_choose_seconds(p, spec);
	if (wants_client(spec) && !spec->cpu && !spec->offcpu && !spec->threads && !spec->trace &&
	    !any_target(p, spec)) {
		peer_error(p, ENOENT,
			   "no attached process %s: start it with LD_PRELOAD=libprofd.so "
			   "(`profctl list` shows what is there)",
			   *spec->comm || *spec->unit ? "of that name" : "of yours");
		return false;
	}
	return check_place(p, spec);
}

static bool copy_name(struct peer *p, const char *what, const char *name, char *ret, size_t size)
{
	if (strlen(name) >= size) {
		peer_error(p, EINVAL, "%s: longer than %zu bytes", what, size - 1);
		return false;
	}
	strcpy(ret, name);
	return true;
}

static void verb_snapshot(struct peer *p, const Profd__Snapshot *q)
{
	struct series_spec spec = {
		.pid = q->own ? p->access.pid : (pid_t)q->pid,
		.any_uid = p->access.all,
		.uid = p->access.uid,
		.every_ns = p->access.all ? q->every_ns : max(q->every_ns, PROFD_USER_EVERY_NS),
		.count = max(q->count, 1u),
		.seconds_ns = q->until_stopped ? PROFD_MAX_UNTIL_STOPPED_NS : q->seconds_ns,
		.options = {.trim = !q->no_trim, .send = q->send_files},
	};
	int r;

	if (p->series) {
		peer_error(p, EBUSY, "a request of this connection is still under way");
		return;
	}
	if (q->count > PROFD_MAX_COUNT) {
		peer_error(p, EINVAL, "count %u: at most %d", q->count, PROFD_MAX_COUNT);
		return;
	}
	if (!copy_name(p, "name", q->comm, spec.comm, sizeof(spec.comm)) ||
	    !copy_name(p, "unit", q->unit, spec.unit, sizeof(spec.unit)) ||
	    !types_parse(p, q, &spec) || !check_targets(p, &spec))
		return;
	r = series_start(p->ctx, &spec, &to_peer, p, &p->series);
	if (r < 0)
		peer_error(p, r, "snapshot: %s", strerror(-r));
}

/* ---- attach, watch, finish */

/* What it says of the table is believed when it is to its own disadvantage. */
static bool refuse_version(struct peer *p, uint32_t version)
{
	struct heap_refusals *refused = heap_clients_refused(p->ctx->clients);

	if (version == 0 || version == HEAP_TABLE_VERSION)
		return false;
	if (heap_refusals_add(refused, p->ctx->keeper, p->access.pid, p->access.uid, version)) {
		p->ctx->counters.attach_refused++;
		p->ctx->counters.attach_other_version++;
	}
	return true;
}

static void verb_attach(struct peer *p, const Profd__Attach *q, int *fds, size_t n_fds)
{
	if (refuse_version(p, q->table_version))
		return;
	if (n_fds == 1)
		(void)p->ctx->attach(p->ctx->engine, p->access.pid, p->access.uid,
				     take_fd(&fds[0]));
	else
		p->ctx->counters.attach_refused++;
}

static void verb_watch(struct peer *p, const Profd__Watch *q)
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
	send_file(p, &result, 1);
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
			on_missing(f->type, f->pid, f->comm, strerror(-f->error), 1, p);
			p->finish_missing++;
		}
	}
}

static void on_finish_done(uint32_t files, uint32_t missing, void *userdata)
{
	struct peer *p = userdata;

	on_done(files + p->finish_files, missing + p->finish_missing, p);
}

/* At idle priority: what clients had sent, and the ends of processes, have been
 * seen by now. Last heaps that are still being written are waited for. */
static int on_finish(sd_event_source *source, uint64_t usec, void *userdata)
{
	static const struct series_handlers handlers = {
		.on_file = on_file,
		.on_missing = on_missing,
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
	any = any_target(p, &spec);
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

static void verb_finish(struct peer *p, const Profd__Finish *q)
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

/* ---- status */

static void verb_status(struct peer *p)
{
	struct report_state state;

	report_state(p->ctx, p->access.all, &state);
	peer_reply(p, &state.reply, -1);
	peer_done(p, 0, 0);
}

void peer_handle(struct peer *p, const Profd__Request *q, int *fds, size_t n_fds)
{
	if (q->as_user && !access_narrow(&p->access, q->as_uid)) {
		peer_error(p, EACCES, "as user %u: only root and group profd ask for others",
			   q->as_uid);
		return;
	}
	switch (q->verb_case) {
	case PROFD__REQUEST__VERB_ATTACH:
		verb_attach(p, q->attach, fds, n_fds);
		return;
	case PROFD__REQUEST__VERB_SNAPSHOT:
		verb_snapshot(p, q->snapshot);
		return;
	case PROFD__REQUEST__VERB_LIST:
		list_answer(p, q->list->all);
		return;
	case PROFD__REQUEST__VERB_STATUS:
		verb_status(p);
		return;
	case PROFD__REQUEST__VERB_WATCH:
		verb_watch(p, q->watch);
		return;
	case PROFD__REQUEST__VERB_FINISH:
		verb_finish(p, q->finish);
		return;
	case PROFD__REQUEST__VERB_STOP:
		series_stop(p->series, q->stop->note);
		return;
	case PROFD__REQUEST__VERB__NOT_SET:
	case _PROFD__REQUEST__VERB__CASE_IS_INT_SIZE:
		return; /* the server has dropped these */
	}
}
