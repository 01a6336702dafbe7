/*
 * What the scribe needs in the middle of a job, beyond what it was handed, it asks for and
 * waits: nothing else can come meanwhile, for the engine has sent all that belongs to the
 * job. An engine that says something else is none to go on with.
 */
#include "daemon/scribe/asker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/control.h"

int asker_send(struct asker *asker, const Profd__Scribe__FromScribe *message)
{
	struct pollfd pollfd = {.fd = asker->socket, .events = POLLOUT};
	int r;

	while ((r = control_send(asker->socket, &message->base, NULL, 0)) == -EAGAIN)
		if (poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			return -errno;
	return r;
}

void asker_reading(struct asker *asker, uint32_t module)
{
	Profd__Scribe__Reading reading = PROFD__SCRIBE__READING__INIT;
	Profd__Scribe__FromScribe message = PROFD__SCRIBE__FROM_SCRIBE__INIT;

	reading.job = asker->job;
	reading.module = module;
	message.kind_case = PROFD__SCRIBE__FROM_SCRIBE__KIND_READING;
	message.reading = &reading;
	asker_send(asker, &message);
}

static int receive_split(struct asker *asker)
{
	_cleanup_(control_packet_done) struct control_packet packet = {};
	Profd__Scribe__ToScribe *message;
	bool is_answer;
	int r = control_recv(asker->socket, 0, &packet);

	if (r < 0)
		return r;
	message = profd__scribe__to_scribe__unpack(NULL, packet.n_bytes, packet.bytes);
	is_answer = message && message->kind_case == PROFD__SCRIBE__TO_SCRIBE__KIND_SPLIT;
	if (message)
		profd__scribe__to_scribe__free_unpacked(message, NULL);
	if (!is_answer)
		exit(EXIT_FAILURE);
	return packet.n_fds > 0 ? take_fd(&packet.fds[0]) : -ENOENT;
}

int asker_open_split(struct asker *asker, uint32_t module, const char *name)
{
	Profd__Scribe__Want want = PROFD__SCRIBE__WANT__INIT;
	Profd__Scribe__FromScribe message = PROFD__SCRIBE__FROM_SCRIBE__INIT;
	int r;

	if (strlen(name) >= PROFD_MAX_PATH)
		return -ENAMETOOLONG;
	want.job = asker->job;
	want.module = module;
	want.name = (char *)name;
	message.kind_case = PROFD__SCRIBE__FROM_SCRIBE__KIND_WANT;
	message.want = &want;
	r = asker_send(asker, &message);
	return r < 0 ? r : receive_split(asker);
}
