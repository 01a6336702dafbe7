#include "daemon/control/replies.h"

#include <stdio.h>

#include "profd/base.h"
#include "profd/limits.h"

void replies_file(struct peer *p, const struct dump_result *result, uint32_t index)
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

void replies_on_file(const struct dump_result *result, uint32_t index, void *userdata)
{
	struct peer *p = userdata;

	if (!p->access.all) /* what it took is not all ours to measure */
		users_charge(p->user, PROFD_USER_FILE_MS * NSEC_PER_MSEC, clock_mono_ns());
	replies_file(p, result, index);
}

void replies_on_missing(const char *type, pid_t pid, const char *comm, const char *why,
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

void replies_on_done(uint32_t files, uint32_t missing, void *userdata)
{
	struct peer *p = userdata;

	p->series = NULL;
	peer_done(p, files, missing);
}

const struct series_handlers replies_of_series = {
	.on_file = replies_on_file,
	.on_missing = replies_on_missing,
	.on_done = replies_on_done,
};
