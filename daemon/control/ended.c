#include "daemon/control/ended.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "profd/base.h"
#include "profd/limits.h"

static void drop(struct control_context *ctx, struct ended **at)
{
	struct ended *e = *at;

	*at = e->next;
	ctx->n_ended--;
	free(e->unit);
	free(e);
}

/* The last of those that left in good order; the last of all if none did. */
static struct ended **choose_victim(struct control_context *ctx)
{
	struct ended **victim = NULL, **last = &ctx->ended;

	for (struct ended **at = &ctx->ended; *at; at = &(*at)->next) {
		if ((*at)->in_order)
			victim = at;
		last = at;
	}
	return victim ?: last;
}

static void expire(struct control_context *ctx)
{
	uint64_t now = clock_mono_ns();

	for (struct ended **at = &ctx->ended; *at;) {
		if (now - (*at)->mono_ns > PROFD_ENDED_SECONDS * NSEC_PER_SEC)
			drop(ctx, at);
		else
			at = &(*at)->next;
	}
}

uint64_t ended_add(struct control_context *ctx, const struct ended *ended)
{
	struct ended *e = malloc(sizeof(*e));

	if (!e)
		return 0;
	expire(ctx);
	if (ctx->n_ended == PROFD_MAX_ENDED)
		drop(ctx, choose_victim(ctx));
	*e = *ended;
	e->unit = ended->unit ? strdup(ended->unit) : NULL;
	e->id = ++ctx->last_ended_id;
	e->next = ctx->ended;
	ctx->ended = e;
	ctx->n_ended++;
	return e->id;
}

void ended_set_file(struct control_context *ctx, uint64_t id, const char *file)
{
	for (struct ended *e = ctx->ended; e; e = e->next) {
		if (e->id != id)
			continue;
		e->writing = false;
		snprintf(e->file, sizeof(e->file), "%s", file ?: "");
	}
}

/* Retention may have deleted it. */
static bool is_there(struct control_context *ctx, const char *file)
{
	return *file && faccessat(store_dir_fd(ctx->store), file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void tell(struct control_context *ctx, struct ended *e,
		 void (*each)(const Profd__Reply *reply, void *userdata), void *userdata)
{
	Profd__Reply reply = PROFD__REPLY__INIT;
	Profd__Ended m = PROFD__ENDED__INIT;
	char path[PROFD_MAX_PATH + STORE_NAME_BYTES] = "";

	if (is_there(ctx, e->file))
		snprintf(path, sizeof(path), "%s/%s", store_dir(ctx->store), e->file);
	m.pid = (uint32_t)e->pid;
	m.comm = e->comm;
	m.unit = e->unit ?: "";
	m.uid = e->uid;
	m.how = e->how;
	m.unix_ns = e->unix_ns;
	m.status_known = e->known;
	if (e->known && WIFSIGNALED(e->status)) {
		m.signal = (uint32_t)WTERMSIG(e->status);
		m.core_dumped = WCOREDUMP(e->status);
	} else if (e->known) {
		m.status = (uint32_t)WEXITSTATUS(e->status);
	}
	m.out_of_memory = e->out_of_memory;
	m.inuse_bytes = e->inuse_bytes;
	m.writing = e->writing;
	m.path = path;
	reply.kind_case = PROFD__REPLY__KIND_ENDED;
	reply.ended = &m;
	each(&reply, userdata);
}

void ended_each(struct control_context *ctx, bool any_uid, uid_t uid,
		void (*each)(const Profd__Reply *reply, void *userdata), void *userdata)
{
	expire(ctx);
	for (struct ended *e = ctx->ended; e; e = e->next)
		if (any_uid || e->uid == uid)
			tell(ctx, e, each, userdata);
}

void ended_free(struct control_context *ctx)
{
	while (ctx->ended)
		drop(ctx, &ctx->ended);
}
