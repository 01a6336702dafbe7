/*
 * A scribe holds a descriptor for every module it knows, so it is told to
 * forget the ones that were not needed for longest when it would hold too many.
 * A module that cannot be sent is left out, and the job goes without its names.
 * Modules come and go, so what is known of one is found by its id and goes when
 * the module has gone.
 */
#include "daemon/scribe/outbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/file_key.h"
#include "proto/control.h"
#include "proto/scribe.pb-c.h"

#define OUTBOX_MODULE_FDS   3	  /* a module, its debug file, dwz's */
#define OUTBOX_SPARE_FDS    64	  /* what a scribe needs besides modules */
#define OUTBOX_MAX_MAPPINGS 12288 /* told of in one job: what a packet holds, */
#define OUTBOX_MAX_COMMENTS 16	  /* beside these */

struct outbox_module {
	UT_hash_handle hh;
	uint32_t id;
	uint32_t last_job;	 /* that needed it */
	uint8_t sent;		 /* descriptors that the scribe holds of it */
	bool incomplete;	 /* it was sent without a debug file */
	char *lacking;		 /* the file of a split unit that was not there; NULL: none */
	uint32_t attempt;	 /* how often such files appeared afterwards */
	uint64_t looked_ns;	 /* when it was last looked for either */
	struct timespec changed; /* a perf-map, when it was sent */
	uint64_t bytes;
};

void outbox_init(struct outbox *outbox, struct module_table *modules, struct keeper *keeper)
{
	struct rlimit limit = {};

	*outbox = (struct outbox){
		.modules = modules,
		.keeper = keeper,
		.kallsyms_fd = -1,
		.max_sent = PROFD_SCRIBE_MAX_MODULES,
		.cpu_seconds = PROFD_SCRIBE_JOB_CPU_SECONDS,
		.recheck_ns = PROFD_DEBUG_RECHECK_SECONDS * NSEC_PER_SEC,
	};
	/* The scribe inherits the limit. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_max < PROFD_SCRIBE_MAX_MODULES + OUTBOX_SPARE_FDS)
		outbox->max_sent = limit.rlim_max > 2 * OUTBOX_SPARE_FDS
					   ? limit.rlim_max - OUTBOX_SPARE_FDS
					   : OUTBOX_SPARE_FDS;
}

static void free_state(struct outbox *outbox, struct outbox_module *state)
{
	HASH_DEL(outbox->states, state);
	free(state->lacking);
	free(state);
}

void outbox_done(struct outbox *outbox)
{
	struct outbox_module *state, *next;

	profd_closep(&outbox->kallsyms_fd);
	HASH_ITER (hh, outbox->states, state, next)
		free_state(outbox, state);
	*outbox = (struct outbox){.kallsyms_fd = -1};
}

void outbox_reset(struct outbox *outbox)
{
	for (struct outbox_module *state = outbox->states; state; state = state->hh.next)
		state->sent = 0;
	outbox->n_sent = 0;
}

static struct outbox_module *find_state(const struct outbox *outbox, uint32_t id)
{
	struct outbox_module *state;

	HASH_FIND (hh, outbox->states, &id, sizeof(id), state)
		;
	return state;
}

/* NULL: out of memory. */
static struct outbox_module *get_state(struct outbox *outbox, uint32_t id)
{
	struct outbox_module *state = find_state(outbox, id);

	if (state)
		return state;
	state = calloc(1, sizeof(*state));
	if (!state)
		return NULL;
	state->id = id;
	HASH_ADD(hh, outbox->states, id, sizeof(state->id), state);
	if (state->hh.tbl)
		return state;
	free(state);
	return NULL;
}

static const struct quarantined *find_quarantined(const struct outbox *outbox, uint32_t id)
{
	const struct module *module = module_by_id(outbox->modules, id);

	return module ? quarantine_find(outbox->quarantine, module) : NULL;
}

static void send_anew(struct outbox *outbox, struct outbox_module *state)
{
	outbox->n_sent -= state->sent;
	state->sent = 0;
}

/* A perf-map grows, and may be another file by now: then it is sent anew. */
static void refresh_perf_map(struct outbox *outbox, struct module *module,
			     struct outbox_module *state)
{
	struct stat st = {};

	if (outbox->keeper)
		(void)module_open_perf_map(outbox->modules, outbox->keeper, module);
	if (module->fd < 0 || fstat(module->fd, &st) < 0)
		return;
	if (state->sent &&
	    ((uint64_t)st.st_size != state->bytes || st.st_mtim.tv_sec != state->changed.tv_sec ||
	     st.st_mtim.tv_nsec != state->changed.tv_nsec))
		send_anew(outbox, state);
	state->bytes = (uint64_t)st.st_size;
	state->changed = st.st_mtim;
}

/* Debug files get installed, and built. What was not there may be by now. */
static void look_again(struct outbox *outbox, const struct module *module,
		       struct outbox_module *state)
{
	_cleanup_(separate_done) struct separate separate = {.debug_fd = -1, .alt_fd = -1};
	_cleanup_close_ int fd = -1;
	struct separate_counts counts = {}; /* of what has been counted */
	uint64_t now_ns = clock_mono_ns();

	if (!state->sent || (!state->incomplete && !state->lacking) ||
	    now_ns - state->looked_ns < outbox->recheck_ns)
		return;
	state->looked_ns = now_ns;
	if (state->incomplete) {
		separate_find(outbox->keeper, module, &counts, &separate);
		if (counts.found > 0)
			send_anew(outbox, state);
	}
	if (state->lacking) {
		fd = separate_find_split(outbox->keeper, module, state->lacking, &counts);
		if (fd < 0)
			return;
		free(take_ptr(state->lacking));
		state->attempt++;
		send_anew(outbox, state);
	}
}

void outbox_count_refused(struct outbox *outbox, uint64_t n)
{
	/* A scribe may say anything. */
	outbox->separate.refused += min(n, (uint64_t)OUTBOX_MAX_MAPPINGS);
}

void outbox_begin(struct outbox *outbox, const struct job *job)
{
	struct outbox_module *state;
	struct module *module;

	outbox->next = 0;
	outbox->n_wants = 0;
	for (size_t i = 0; i < job->n_modules; i++) {
		/* Those that cannot be found here are not found later either. */
		module = module_by_id(outbox->modules, job->modules[i]);
		if (!module)
			continue;
		state = get_state(outbox, job->modules[i]);
		if (!state || state->last_job == job->id)
			continue;
		state->last_job = job->id;
		if (module->kind == MODULE_JIT)
			refresh_perf_map(outbox, module, state);
		else if (module->kind == MODULE_FILE)
			look_again(outbox, module, state);
	}
}

/* The file to read names from; -1: there is none. */
static int find_file(struct outbox *outbox, const struct module *module,
		     Profd__Scribe__ModuleKind *ret_kind)
{
	switch (module->kind) {
	case MODULE_FILE:
	case MODULE_VDSO:
		*ret_kind = PROFD__SCRIBE__MODULE_KIND__ELF;
		return module->fd;
	case MODULE_KERNEL:
		*ret_kind = PROFD__SCRIBE__MODULE_KIND__KALLSYMS;
		if (outbox->kallsyms_fd < 0 && outbox->keeper)
			outbox->kallsyms_fd = keeper_open_machine(outbox->keeper, KEEPER_KALLSYMS);
		return outbox->kallsyms_fd;
	case MODULE_JIT:
		*ret_kind = PROFD__SCRIBE__MODULE_KIND__PERF_MAP;
		return module->fd;
	case MODULE_NOTE:
		break;
	}
	return -1;
}

static int send_forget(struct outbox *outbox, int socket, struct outbox_module *state)
{
	Profd__Scribe__Forget forget = PROFD__SCRIBE__FORGET__INIT;
	Profd__Scribe__ToScribe message = PROFD__SCRIBE__TO_SCRIBE__INIT;
	int r;

	forget.id = state->id;
	message.kind_case = PROFD__SCRIBE__TO_SCRIBE__KIND_FORGET;
	message.forget = &forget;
	r = control_send(socket, &message.base, NULL, 0);
	if (r < 0)
		return r;
	send_anew(outbox, state);
	return 0;
}

void outbox_tidy(struct outbox *outbox, int socket)
{
	struct outbox_module *state, *next;

	HASH_ITER (hh, outbox->states, state, next) {
		if (module_by_id(outbox->modules, state->id))
			continue;
		if (state->sent && send_forget(outbox, socket, state) < 0)
			return;
		free_state(outbox, state);
	}
}

/* Returns -ENOSPC when all that was sent is needed now. */
static int make_room(struct outbox *outbox, int socket, uint32_t job)
{
	struct outbox_module *oldest = NULL;
	int r;

	if (outbox->n_sent + OUTBOX_MODULE_FDS <= outbox->max_sent)
		return 0;
	for (struct outbox_module *state = outbox->states; state; state = state->hh.next)
		if (state->sent && state->last_job != job &&
		    (!oldest || state->last_job < oldest->last_job))
			oldest = state;
	if (!oldest)
		return -ENOSPC;
	r = send_forget(outbox, socket, oldest);
	return r < 0 ? r : make_room(outbox, socket, job);
}

static void say_debug(const struct module *module, const struct separate *separate,
		      Profd__Scribe__Module *said)
{
	said->has_debug = separate->debug_fd >= 0;
	said->has_alt = separate->alt_fd >= 0;
	said->check_crc = separate->check_crc;
	said->crc = separate->crc;
	said->only_debug = module->only_debug;
	said->vaddr_minus_offset = module->vaddr_minus_offset;
}

static int send_module(struct outbox *outbox, int socket, const struct module *module,
		       struct outbox_module *state)
{
	_cleanup_(separate_done) struct separate separate = {.debug_fd = -1, .alt_fd = -1};
	Profd__Scribe__Module said = PROFD__SCRIBE__MODULE__INIT;
	Profd__Scribe__ToScribe message = PROFD__SCRIBE__TO_SCRIBE__INIT;
	struct file_key key;
	int fds[OUTBOX_MODULE_FDS], r;
	uint8_t n = 1;

	fds[0] = find_file(outbox, module, &said.kind);
	if (fds[0] < 0)
		return -ENOENT;
	if (module->kind == MODULE_FILE) {
		separate_find(outbox->keeper, module, &outbox->separate, &separate);
		say_debug(module, &separate, &said);
		said.attempt = state->attempt;
	}
	if (separate.debug_fd >= 0)
		fds[n++] = separate.debug_fd;
	if (separate.alt_fd >= 0)
		fds[n++] = separate.alt_fd;
	said.id = module->id;
	file_key_of_module(module, &key);
	said.key = (ProtobufCBinaryData){.data = key.bytes, .len = key.n};
	message.kind_case = PROFD__SCRIBE__TO_SCRIBE__KIND_MODULE;
	message.module = &said;
	r = control_send(socket, &message.base, fds, n);
	if (r < 0)
		return r;
	state->sent = n;
	state->incomplete = separate.incomplete;
	state->looked_ns = clock_mono_ns();
	outbox->n_sent += n;
	return 0;
}

static int send_if_needed(struct outbox *outbox, int socket, const struct job *job, uint32_t id)
{
	const struct module *module = module_by_id(outbox->modules, id);
	struct outbox_module *state = module ? get_state(outbox, id) : NULL;
	int r;

	if (!state || state->sent || quarantine_find(outbox->quarantine, module))
		return 0;
	r = make_room(outbox, socket, job->id);
	if (r == 0)
		r = send_module(outbox, socket, module, state);
	return r == -EAGAIN || r == -EPIPE ? r : 0;
}

int outbox_answer(struct outbox *outbox, int socket, uint32_t id, const char *name)
{
	Profd__Scribe__Split split = PROFD__SCRIBE__SPLIT__INIT;
	Profd__Scribe__ToScribe message = PROFD__SCRIBE__TO_SCRIBE__INIT;
	const struct module *module = module_by_id(outbox->modules, id);
	struct outbox_module *state = find_state(outbox, id);
	_cleanup_close_ int fd = -1;

	if (!module || !state || !state->sent || module->kind != MODULE_FILE)
		return -EBADMSG;
	if (outbox->n_wants++ < PROFD_MAX_SPLIT_FILES)
		fd = separate_find_split(outbox->keeper, module, name, &outbox->separate);
	/* Most programs have no package, and the unit's own file is asked for next. */
	if (fd < 0 && !state->lacking && name[0] != '\0')
		state->lacking = strdup(name);
	split.module = id;
	message.kind_case = PROFD__SCRIBE__TO_SCRIBE__KIND_SPLIT;
	message.split = &split;
	return control_send(socket, &message.base, &fd, fd >= 0);
}

struct comments { /* of what has no names, and why */
	char *lines[OUTBOX_MAX_COMMENTS + 1];
	size_t n;
};

static void comments_done(struct comments *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->lines[i]);
}

__attribute__((format(printf, 2, 3))) static void add_comment(struct comments *c,
							      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&c->lines[c->n], format, args) >= 0)
		c->n++;
	va_end(args);
}

/* A file may have several mappings; they are neighbours. */
static void make_comments(struct outbox *outbox, const struct job *job, struct comments *c)
{
	const struct quarantined *q, *last = NULL;
	size_t more = 0;

	if (job->bare)
		add_comment(c, "not symbolized: the symbolizer died %u times over this profile",
			    job->deaths);
	for (size_t i = 0; i < job->n_modules; i++) {
		q = find_quarantined(outbox, job->modules[i]);
		if (!q || q == last)
			continue;
		last = q;
		if (c->n == OUTBOX_MAX_COMMENTS)
			more++;
		else
			add_comment(c, "not symbolized: %.256s%s%s%s: it %s", q->path,
				    q->build_id[0] ? " (build-id " : "", q->build_id,
				    q->build_id[0] ? ")" : "", q->why);
	}
	if (more > 0)
		add_comment(c, "not symbolized: %zu more files that ended the symbolizer", more);
}

static int send_job(struct outbox *outbox, int socket, const struct job *job)
{
	Profd__Scribe__Job said = PROFD__SCRIBE__JOB__INIT;
	Profd__Scribe__ToScribe message = PROFD__SCRIBE__TO_SCRIBE__INIT;
	_cleanup_(comments_done) struct comments comments = {};
	_cleanup_free_ uint32_t *ids = NULL;
	int fds[] = {job->raw_fd, job->unnamed_fd >= 0 ? job->unnamed_fd : job->out_fd,
		     job->events_fd};
	size_t n = min(job->n_modules, (size_t)OUTBOX_MAX_MAPPINGS);

	ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < n && !job->bare; i++) {
		const struct outbox_module *state = find_state(outbox, job->modules[i]);

		if (state && state->sent && !find_quarantined(outbox, state->id))
			ids[i] = state->id;
	}
	said.id = job->id;
	if (job->name && job->unnamed_fd < 0)
		said.name = job->name;
	said.n_modules = n;
	said.modules = ids;
	said.mode = SCRIBE_FILE_MODE;
	said.trace = job->events_fd >= 0;
	said.cpu_seconds = outbox->cpu_seconds;
	make_comments(outbox, job, &comments);
	said.n_comments = comments.n;
	said.comments = comments.lines;
	message.kind_case = PROFD__SCRIBE__TO_SCRIBE__KIND_JOB;
	message.job = &said;
	return control_send(socket, &message.base, fds, said.trace ? 3 : 2);
}

int outbox_send(struct outbox *outbox, int socket, const struct job *job)
{
	int r;

	for (; !job->bare && outbox->next < job->n_modules; outbox->next++) {
		r = send_if_needed(outbox, socket, job, job->modules[outbox->next]);
		if (r < 0)
			return r;
	}
	return send_job(outbox, socket, job);
}
