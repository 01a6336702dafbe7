/*
 * What a peer may ask, a function a verb. Each checks the request as a whole,
 * then answers or starts the series that will. (Those of a private daemon are in
 * private.c.)
 */
#include <errno.h>
#include <string.h>

#include "daemon/control/list.h"
#include "daemon/control/peer.h"
#include "daemon/control/private.h"
#include "daemon/control/replies.h"
#include "daemon/control/report.h"
#include "daemon/control/types.h"
#include "profd/base.h"
#include "profd/heap_table.h"
#include "profd/limits.h"

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
			   "process %d: is not attached: start it with "
			   "LD_PRELOAD=/usr/lib/profd/libprofd.so, or ask for --type cpu",
			   (int)spec->pid);
		return false;
	}
	return true;
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
	    !series_has_target(p->ctx, spec)) {
		peer_error(p, ENOENT,
			   "no attached process %s: start it with "
			   "LD_PRELOAD=/usr/lib/profd/libprofd.so (`profctl list` shows what is "
			   "there)",
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
	r = series_start(p->ctx, &spec, &replies_of_series, p, &p->series);
	if (r < 0)
		peer_error(p, r, "snapshot: %s", strerror(-r));
}

/* ---- attach */

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
		private_watch(p, q->watch);
		return;
	case PROFD__REQUEST__VERB_FINISH:
		private_finish(p, q->finish);
		return;
	case PROFD__REQUEST__VERB_STOP:
		series_stop(p->series, q->stop->note);
		return;
	case PROFD__REQUEST__VERB__NOT_SET:
	case _PROFD__REQUEST__VERB__CASE_IS_INT_SIZE:
		return; /* the server has dropped these */
	}
}
