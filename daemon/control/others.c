/*
 * Why a process has no client is read off what it has mapped: the dynamic
 * linker, which is what preloads, and the client itself.
 */
#include "daemon/control/others.h"

#include <stdio.h>
#include <string.h>

#include "daemon/control/passive.h"
#include "daemon/proc/pids.h"
#include "profd/base.h"

static bool names(const struct module *m, const char *prefix)
{
	const char *slash = strrchr(m->path, '/');

	return strncmp(slash ? slash + 1 : m->path, prefix, strlen(prefix)) == 0;
}

static void describe(struct control_context *ctx, const struct process *process, char *ret,
		     size_t size)
{
	bool dynamic = false, client = false, setuid = false;
	const char *inside, *why;

	for (size_t i = 0; i < process->n_maps; i++) {
		const struct module *m = process->maps[i].module;

		if (!m || !m->path)
			continue;
		/* musl's dynamic linker is its C library, by either name */
		dynamic |= names(m, "ld-linux") || names(m, "ld-musl") || names(m, "libc.so");
		client |= names(m, "libprofd.so");
	}
	if (client) {
		passive_describe(ctx->keeper, process->pid, ret, size);
		return;
	}
	inside = allocators_find(ctx->allocators, ctx->keeper, process->pid);
	if (!dynamic)
		why = "statically linked: the client cannot be loaded into it; CPU only";
	else if (process_read_setuid(ctx->keeper, process->pid, &setuid) == 0 && setuid)
		why = "setuid: the client is not loaded into such programs; CPU only";
	else
		why = inside
			      ?: "started without the client (LD_PRELOAD); CPU only, until "
				 "restarted";
	snprintf(ret, size, "%s", why);
}

struct others {
	struct control_context *ctx;
	const struct access *access;
	void (*each)(const Profd__Reply *reply, void *userdata);
	void *userdata;
};

static void tell(struct others *o, struct process *process, uid_t uid)
{
	struct control_context *ctx = o->ctx;
	Profd__Reply reply = PROFD__REPLY__INIT;
	Profd__Target target = PROFD__TARGET__INIT;
	const char *unit = process_unit(ctx->processes, process);
	uint64_t rss = 0;
	char why[256];

	describe(ctx, process, why, sizeof(why));
	(void)process_read_rss(ctx->keeper, process->pid, &rss);
	target.pid = (uint32_t)process->pid;
	target.comm = process->comm;
	target.unit = (char *)(unit ?: "");
	target.uid = uid;
	target.reason = why;
	target.rss_bytes = rss;
	reply.kind_case = PROFD__REPLY__KIND_TARGET;
	reply.target = &target;
	o->each(&reply, o->userdata);
}

static void on_pid(pid_t pid, void *userdata)
{
	struct others *o = userdata;
	const struct heap_client *client = heap_clients_find(o->ctx->clients, pid);
	struct process *process;
	uid_t uid, owner;

	if ((client && !client->dead) ||
	    heap_refusals_find(heap_clients_refused(o->ctx->clients), o->ctx->keeper, pid) ||
	    process_read_uid(o->ctx->keeper, pid, &uid) < 0 ||
	    (!o->access->all &&
	     (process_read_owner(o->ctx->keeper, pid, &owner) < 0 || owner != o->access->uid)))
		return;
	process = process_get(o->ctx->processes, pid);
	if (process && process->n_maps > 0)
		tell(o, process, uid);
}

void others_each(struct control_context *ctx, const struct access *access,
		 void (*each)(const Profd__Reply *reply, void *userdata), void *userdata)
{
	struct others others = {.ctx = ctx, .access = access, .each = each, .userdata = userdata};

	(void)process_each_pid(ctx->keeper, on_pid, &others);
}
