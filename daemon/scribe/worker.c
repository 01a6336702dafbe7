/*
 * The scribe process: one loop, one message at a time. Modules arrive with
 * their descriptors and are kept; a job arrives with the raw profile and the
 * place where its result belongs.
 *
 * No state matters: everything here can be sent again to another process. That
 * is why trouble of any kind may simply end this one. What it owes the engine
 * before that is to say which module it is about to parse.
 */
#include "daemon/scribe/scribe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/ages.h"
#include "daemon/scribe/sandbox.h"
#include "daemon/scribe/symbolize.h"
#include "proto/control.h"
#include "proto/publish.h"
#include "proto/scribe.pb-c.h"

#define WORKER_CACHE_BYTES (16u << 20)
#define WORKER_MAX_PROFILE (512u << 20)

struct worker {
	int socket;
	uint32_t job; /* the one under way */
	struct source_table *sources;
	struct cache *cache;
};

static uint64_t now_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Waits while the engine is busy. */
static int worker_send(struct worker *w, const Profd__Scribe__FromScribe *message)
{
	struct pollfd pollfd = {.fd = w->socket, .events = POLLOUT};
	int r;

	while ((r = control_send(w->socket, &message->base, NULL, 0)) == -EAGAIN)
		if (poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			return -errno;
	return r;
}

static void worker_reading(uint32_t module, void *userdata)
{
	struct worker *w = userdata;
	Profd__Scribe__Reading reading = PROFD__SCRIBE__READING__INIT;
	Profd__Scribe__FromScribe message = PROFD__SCRIBE__FROM_SCRIBE__INIT;

	reading.job = w->job;
	reading.module = module;
	message.kind_case = PROFD__SCRIBE__FROM_SCRIBE__KIND_READING;
	message.reading = &reading;
	worker_send(w, &message);
}

static void free_profile(struct pprof **p)
{
	pprof_free(*p);
}

static int write_file(const struct pprof *p, int fd, uint64_t *ret_bytes)
{
	struct stat st;
	int r;

	r = pprof_write_gzip(p, fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int publish_named(const struct pprof *p, int dir_fd, mode_t mode, char *name,
			 uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = publish_open(dir_fd, mode);
	if (fd < 0)
		return fd;
	r = write_file(p, fd, ret_bytes);
	if (r < 0)
		return r;
	return publish_link_next(dir_fd, fd, name);
}

/* An earlier scribe may have begun to write here. */
static int write_given(const struct pprof *p, int fd, uint64_t *ret_bytes)
{
	bool regular = ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0;
	int r;

	r = write_file(p, fd, ret_bytes);
	if (r < 0 && regular && ftruncate(fd, 0) < 0)
		return r; /* nothing more can be done about what is there */
	return r;
}

static int name_profile(struct worker *w, struct pprof *p, const Profd__Scribe__Job *job,
			uint64_t start_ns, struct symbolize_result *ret_result)
{
	/* Half of the time is for lines, the rest for everything else. */
	struct symbolize how = {
		.sources = w->sources,
		.cache = w->cache,
		.modules = job->modules,
		.n_modules = job->n_modules,
		.deadline_mono_ns = start_ns + PROFD_SCRIBE_JOB_SECONDS / 2 * NSEC_PER_SEC,
		.reading = worker_reading,
		.userdata = w,
	};
	int r;

	r = symbolize_profile(p, &how, ret_result);
	/* From here on no module is to blame. */
	worker_reading(0, w);
	return r < 0 ? r : ages_name(p);
}

static int worker_run_job(struct worker *w, const Profd__Scribe__Job *job, int raw_fd, int out_fd,
			  Profd__Scribe__Finished *finished)
{
	_cleanup_(free_profile) struct pprof *p = NULL;
	struct symbolize_result result;
	uint64_t start_ns = now_mono_ns();
	int r;

	/* The descriptor's position is shared with whoever read it before. */
	if (lseek(raw_fd, 0, SEEK_SET) < 0)
		return -errno;
	r = pprof_read(raw_fd, WORKER_MAX_PROFILE, &p);
	if (r < 0)
		return r;
	r = name_profile(w, p, job, start_ns, &result);
	if (r < 0)
		return r;
	if (finished->name[0] != '\0')
		r = publish_named(p, out_fd, job->mode, finished->name, &finished->bytes);
	else
		r = write_given(p, out_fd, &finished->bytes);
	if (r < 0)
		return r;
	finished->locations = result.locations;
	finished->locations_named = result.named;
	finished->duration_ns = now_mono_ns() - start_ns;
	return 0;
}

static int worker_job(struct worker *w, const Profd__Scribe__Job *job,
		      const struct control_packet *packet)
{
	Profd__Scribe__FromScribe message = PROFD__SCRIBE__FROM_SCRIBE__INIT;
	Profd__Scribe__Finished finished = PROFD__SCRIBE__FINISHED__INIT;
	_cleanup_free_ char *name = strdup(job->name);
	int r = -EBADMSG;

	if (!name)
		return -ENOMEM;
	w->job = finished.job = job->id;
	finished.name = name;
	/* The engine ends a scribe that hangs. Should there be no engine any more,
	 * this does. */
	alarm(2 * PROFD_SCRIBE_JOB_SECONDS);
	if (packet->n_fds == 2)
		r = worker_run_job(w, job, packet->fds[0], packet->fds[1], &finished);
	alarm(0);
	finished.error = -r;
	message.kind_case = PROFD__SCRIBE__FROM_SCRIBE__KIND_FINISHED;
	message.finished = &finished;
	r = worker_send(w, &message);
	source_table_trim(w->sources);
	return r;
}

static void worker_module(struct worker *w, const Profd__Scribe__Module *module,
			  struct control_packet *packet)
{
	if (packet->n_fds != 1)
		return;
	/* A module that cannot be kept is one without names. */
	switch (module->kind) {
	case PROFD__SCRIBE__MODULE_KIND__ELF:
		source_add(w->sources, module->id, SOURCE_ELF, take_fd(&packet->fds[0]));
		break;
	case PROFD__SCRIBE__MODULE_KIND__KALLSYMS:
		source_add(w->sources, module->id, SOURCE_KALLSYMS, take_fd(&packet->fds[0]));
		break;
	case PROFD__SCRIBE__MODULE_KIND__PERF_MAP:
		source_add(w->sources, module->id, SOURCE_PERF_MAP, take_fd(&packet->fds[0]));
		break;
	case _PROFD__SCRIBE__MODULE_KIND_IS_INT_SIZE:
		break;
	}
}

static int worker_handle(struct worker *w, struct control_packet *packet)
{
	Profd__Scribe__ToScribe *message;
	int r = 0;

	message = profd__scribe__to_scribe__unpack(NULL, packet->n_bytes, packet->bytes);
	if (!message)
		return -EBADMSG;
	switch (message->kind_case) {
	case PROFD__SCRIBE__TO_SCRIBE__KIND_MODULE:
		worker_module(w, message->module, packet);
		break;
	case PROFD__SCRIBE__TO_SCRIBE__KIND_FORGET:
		source_remove(w->sources, message->forget->id);
		break;
	case PROFD__SCRIBE__TO_SCRIBE__KIND_JOB:
		r = worker_job(w, message->job, packet);
		break;
	case PROFD__SCRIBE__TO_SCRIBE__KIND__NOT_SET:
	case _PROFD__SCRIBE__TO_SCRIBE__KIND__CASE_IS_INT_SIZE:
		r = -EBADMSG;
		break;
	}
	profd__scribe__to_scribe__free_unpacked(message, NULL);
	return r;
}

static int worker_loop(struct worker *w)
{
	int r;

	do {
		_cleanup_(control_packet_done) struct control_packet packet = {};

		r = control_recv(w->socket, 0, &packet);
		if (r == 0)
			r = worker_handle(w, &packet);
	} while (r == 0);
	return r;
}

int scribe_main(int socket)
{
	struct worker w = {.socket = socket};
	int r;

	r = sandbox_enter(socket);
	if (r == 0)
		r = source_table_new(&w.sources);
	if (r == 0)
		r = cache_new(WORKER_CACHE_BYTES, &w.cache);
	if (r == 0)
		r = worker_loop(&w);
	source_table_free(w.sources);
	cache_free(w.cache);
	/* The engine closed its end, or has gone: that is how it ends. */
	return r == -ECONNRESET || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
