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
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <uthash.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/profile/freeze.h"
#include "daemon/scribe/ages.h"
#include "daemon/scribe/asker.h"
#include "daemon/scribe/file_key.h"
#include "daemon/scribe/sandbox.h"
#include "daemon/scribe/symbolize.h"
#include "daemon/scribe/trace.h"
#include "proto/control.h"
#include "proto/publish.h"
#include "proto/scribe.pb-c.h"

#define WORKER_MAX_PROFILE (512u << 20)
#define WORKER_KEEP_BYTES  (8 << 20) /* of memory that is free */

struct worker_file { /* which file a module is */
	UT_hash_handle hh;
	uint32_t module;
	struct file_key key;
};

struct worker {
	struct asker engine;
	struct source_table *sources;
	struct cache *cache;
	struct worker_file *files;
	struct pprof_filter *heap_filter; /* of heap profiles, the only ones with ages */
};

static void worker_reading(uint32_t module, void *userdata)
{
	struct worker *w = userdata;

	asker_reading(&w->engine, module);
}

static int worker_open_split(uint32_t module, const char *name, void *userdata)
{
	struct worker *w = userdata;

	return asker_open_split(&w->engine, module, name);
}

/* ---- which file a module is */

static struct worker_file *find_file(const struct worker *w, uint32_t module)
{
	struct worker_file *file;

	HASH_FIND (hh, w->files, &module, sizeof(module), file)
		;
	return file;
}

static bool worker_file_of(uint32_t module, struct file_key *ret_key, void *userdata)
{
	const struct worker_file *file = find_file(userdata, module);

	if (!file)
		return false;
	*ret_key = file->key;
	return true;
}

static void forget_file(struct worker *w, uint32_t module)
{
	struct worker_file *file = find_file(w, module);

	if (!file)
		return;
	HASH_DEL(w->files, file);
	free(file);
}

static void forget_files(struct worker *w)
{
	struct worker_file *file, *next;

	HASH_ITER (hh, w->files, file, next)
		forget_file(w, file->module);
}

/* What has no key is asked anew each time: generated code changes. With debug files
 * it is told apart from what it was without, so that names appear once they do. */
static void remember_file(struct worker *w, const Profd__Scribe__Module *module,
			  const struct control_packet *packet)
{
	struct worker_file *file;
	struct file_key key;

	forget_file(w, module->id);
	file_key_of_contents(module->key.data, module->key.len, packet->fds[0], &key);
	for (size_t i = 1; i < packet->n_fds; i++)
		file_key_add_part(&key, packet->fds[i]);
	if (module->only_debug)
		file_key_add_number(&key, module->vaddr_minus_offset);
	if (module->attempt > 0)
		file_key_add_number(&key, module->attempt);
	file = key.n > 0 ? calloc(1, sizeof(*file)) : NULL;
	if (!file)
		return;
	file->module = module->id;
	file->key = key;
	HASH_ADD(hh, w->files, module, sizeof(file->module), file);
}

/* ---- jobs */

static void free_profile(struct pprof **p)
{
	pprof_free(*p);
}

struct result {
	const struct pprof *profile;
	int events_fd; /* of a trace; -1: it is the profile */
};

static int write_file(const struct result *result, int fd, uint64_t *ret_bytes)
{
	struct stat st;
	int r;

	r = result->events_fd < 0 ? pprof_write_gzip(result->profile, fd)
				  : trace_write(result->profile, result->events_fd, fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int publish_named(const struct result *result, int dir_fd, mode_t mode, char *name,
			 uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = publish_open(dir_fd, mode);
	if (fd < 0)
		return fd;
	r = write_file(result, fd, ret_bytes);
	if (r < 0)
		return r;
	return publish_link_next(dir_fd, fd, name);
}

/* An earlier scribe may have begun to write here. */
static int write_given(const struct result *result, int fd, uint64_t *ret_bytes)
{
	bool regular = ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0;
	int r;

	r = write_file(result, fd, ret_bytes);
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
		.file_of = worker_file_of,
		.deadline_mono_ns = start_ns + PROFD_SCRIBE_JOB_SECONDS / 2 * NSEC_PER_SEC,
		.reading = worker_reading,
		.userdata = w,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < job->n_comments; i++)
		r = pprof_add_comment(p, job->comments[i]);
	if (r == 0)
		r = symbolize_profile(p, &how, ret_result);
	/* From here on no module is to blame. */
	worker_reading(0, w);
	return r < 0 ? r : ages_name(p, w->heap_filter);
}

static int worker_run_job(struct worker *w, const Profd__Scribe__Job *job, const int *fds,
			  Profd__Scribe__Finished *finished)
{
	struct result what = {.events_fd = job->trace ? fds[2] : -1};

	_cleanup_(free_profile) struct pprof *p = NULL;
	struct symbolize_result result;
	uint64_t start_ns = clock_mono_ns();
	int r;

	/* The descriptor's position is shared with whoever read it before. */
	if (lseek(fds[0], 0, SEEK_SET) < 0)
		return -errno;
	r = pprof_read(fds[0], WORKER_MAX_PROFILE, &p);
	if (r < 0)
		return r;
	r = name_profile(w, p, job, start_ns, &result);
	if (r < 0)
		return r;
	what.profile = p;
	if (finished->name[0] != '\0')
		r = publish_named(&what, fds[1], job->mode, finished->name, &finished->bytes);
	else
		r = write_given(&what, fds[1], &finished->bytes);
	if (r < 0)
		return r;
	finished->locations = result.locations;
	finished->locations_named = result.named;
	finished->locations_cached = result.cached;
	finished->duration_ns = clock_mono_ns() - start_ns;
	return 0;
}

/* By CPU time nobody gets into quarantine for what else the machine has to do: a
 * file that uses it up is to blame, and the engine sees SIGPROF. */
static void limit_cpu(time_t seconds)
{
	const struct itimerval timer = {.it_value = {.tv_sec = seconds}};

	setitimer(ITIMER_PROF, &timer, NULL);
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
	w->engine.job = finished.job = job->id;
	finished.name = name;
	limit_cpu(job->cpu_seconds);
	/* The engine ends a scribe that hangs. Should there be no engine any more,
	 * this does. */
	alarm(2 * PROFD_SCRIBE_JOB_SECONDS);
	if (packet->n_fds == (job->trace ? 3 : 2))
		r = worker_run_job(w, job, packet->fds, &finished);
	alarm(0);
	limit_cpu(0);
	finished.error = -r;
	finished.files_refused = source_take_refused(w->sources);
	message.kind_case = PROFD__SCRIBE__FROM_SCRIBE__KIND_FINISHED;
	message.finished = &finished;
	r = asker_send(&w->engine, &message);
	/* The answer is on its way; what it took is given back before the next. */
	source_table_trim(w->sources);
	if (mallinfo2().fordblks > WORKER_KEEP_BYTES)
		malloc_trim(WORKER_KEEP_BYTES);
	return r;
}

/* The descriptors behind the first, in the order in which they are told of. */
static void worker_debug(struct worker *w, const Profd__Scribe__Module *module,
			 struct control_packet *packet)
{
	struct image_debug debug = IMAGE_DEBUG_NONE;
	size_t next = 1;

	debug.check_crc = module->check_crc;
	debug.crc = module->crc;
	debug.only = module->only_debug;
	debug.vaddr_minus_offset = module->vaddr_minus_offset;
	if (module->has_debug && next < packet->n_fds)
		debug.debug_fd = take_fd(&packet->fds[next++]);
	if (module->has_alt && next < packet->n_fds)
		debug.alt_fd = take_fd(&packet->fds[next]);
	source_set_debug(w->sources, module->id, &debug);
}

static void worker_module(struct worker *w, const Profd__Scribe__Module *module,
			  struct control_packet *packet)
{
	if (packet->n_fds < 1)
		return;
	remember_file(w, module, packet);
	/* A module that cannot be kept is one without names. */
	switch (module->kind) {
	case PROFD__SCRIBE__MODULE_KIND__ELF:
		source_add(w->sources, module->id, SOURCE_ELF, take_fd(&packet->fds[0]));
		worker_debug(w, module, packet);
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
		forget_file(w, message->forget->id);
		break;
	case PROFD__SCRIBE__TO_SCRIBE__KIND_JOB:
		r = worker_job(w, message->job, packet);
		break;
	case PROFD__SCRIBE__TO_SCRIBE__KIND_SPLIT: /* nobody asked */
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

		r = control_recv(w->engine.socket, 0, &packet);
		if (r == 0)
			r = worker_handle(w, &packet);
	} while (r == 0);
	return r;
}

int scribe_main(int socket)
{
	struct worker w = {.engine = {.socket = socket}};
	int r;

	/* What a job used the next one uses: of small profiles a tenth of the time
	 * would go to getting the same pages again. */
	mallopt(M_MMAP_THRESHOLD, WORKER_KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, WORKER_KEEP_BYTES);
	r = pprof_filter_new(profile_drop_frames(PROFILE_HEAP), "", &w.heap_filter);
	if (r == 0)
		r = sandbox_enter(socket);
	if (r == 0)
		r = source_table_new(&w.sources);
	if (r == 0)
		r = cache_new(PROFD_SCRIBE_CACHE_BYTES, &w.cache);
	if (r == 0) {
		source_table_set_opener(w.sources, worker_open_split, &w);
		r = worker_loop(&w);
	}
	source_table_free(w.sources);
	forget_files(&w);
	cache_free(w.cache);
	pprof_filter_free(w.heap_filter);
	/* The engine closed its end, or has gone: that is how it ends. */
	return r == -ECONNRESET || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
