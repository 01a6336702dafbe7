#include "daemon/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/control/ended.h"
#include "daemon/control/last.h"
#include "daemon/engine_internal.h"
#include "profd/base.h"

#define RETAIN_EVERY_US 10000000
#define QUIT_POLL_US	10000
#define QUIT_WITHIN_NS	(5 * NSEC_PER_SEC)
#define LISTEN_TRIES	20
#define LISTEN_AGAIN_US 50000

/* ---- what the verbs may ask of the engine */

static int engine_watch(struct engine *e, pid_t pid, unsigned timers_hz, char *why, size_t why_size)
{
	int r;

	if (timers_hz > 0)
		return engine_watch_timers(e, pid, timers_hz, why, why_size);
	if (e->ctx.sampler) {
		snprintf(why, why_size, "watch: one command is being watched already");
		return -EBUSY;
	}
	e->ctx.watched = pid;
	r = engine_watch_tree(e, pid, why, why_size);
	if (r < 0) {
		e->ctx.no_sampler = "perf events were refused";
		snprintf(e->ctx.timers.refused, sizeof(e->ctx.timers.refused), "%s", why);
	}
	return r;
}

/* What the scribe has in hand is still published, within reason. */
static int on_quit(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;

	if (scribe_pending(e->ctx.scribe) == 0 || clock_mono_ns() > e->quit_by_mono_ns)
		return sd_event_exit(e->ctx.loop, 0);
	sd_event_source_set_time_relative(source, QUIT_POLL_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void engine_quit(struct engine *e)
{
	if (e->quit_timer)
		return;
	e->quit_by_mono_ns = clock_mono_ns() + QUIT_WITHIN_NS;
	series_cancel(e->rotation);
	e->rotation = NULL;
	if (sd_event_add_time_relative(e->ctx.loop, &e->quit_timer, CLOCK_MONOTONIC, 0, 1, on_quit,
				       e) < 0)
		sd_event_exit(e->ctx.loop, 0);
}

/* ---- the loop's own business */

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	engine_quit(userdata);
	return 0;
}

static int on_retain(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;

	(void)store_retain(e->ctx.store);
	engine_tell_news(e);
	sd_event_source_set_time_relative(source, RETAIN_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int engine_start_rotation(struct engine *e)
{
	struct series_spec spec = {
		.heap = true,
		.cpu = e->ctx.rotation,
		.any_uid = true,
		.every_ns = e->config->rotate_ns,
		.rotation = true,
		.options = {.trim = e->config->rotate_trim},
	};
	static const struct series_handlers none;

	series_cancel(e->rotation);
	e->rotation = NULL;
	if (e->config->rotate_ns == 0)
		return 0;
	return series_start(&e->ctx, &spec, &none, NULL, &e->rotation);
}

/* ---- start */

static int block_signals(struct engine *e)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (!e->config->private)
		sigaddset(&set, SIGHUP); /* engine_reload.c */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(e->ctx.loop, NULL, SIGTERM, on_signal, e);
	return r < 0 ? r : sd_event_add_signal(e->ctx.loop, NULL, SIGINT, on_signal, e);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int on_keeper_gone(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct engine *e = userdata;

	/* first of all make room for the next one */
	server_free(e->server);
	e->server = NULL;
	return sd_event_exit(e->ctx.loop, -ECONNRESET);
}

/* There is nothing to be read between a request and the next: only a hang-up is heard. */
static int watch_keeper(struct engine *e)
{
	int fd = keeper_socket(e->ctx.keeper);

	return fd < 0 ? 0 : sd_event_add_io(e->ctx.loop, NULL, fd, 0, on_keeper_gone, e);
}

/* A keeper that is another process has read the settings itself. */
int engine_add_debug_dirs(struct engine *e)
{
	int r = 0;

	if (keeper_socket(e->ctx.keeper) >= 0)
		return 0;

	/* Each is put before the others. */
	for (unsigned i = e->config->n_debug_dirs; r == 0 && i > 0; i--)
		r = keeper_add_debug_dir(e->ctx.keeper, e->config->debug_dirs[i - 1]);
	return r;
}

static int make_rooms(struct engine *e)
{
	struct control_context *c = &e->ctx;
	int r;

	if ((r = sd_event_default(&c->loop)) < 0 || (r = watch_keeper(e)) < 0 ||
	    (r = engine_add_debug_dirs(e)) < 0 || (r = module_table_new(&c->modules)) < 0 ||
	    (r = process_table_new(c->keeper, c->modules, &c->processes)) < 0 ||
	    (r = heap_clients_new(c->keeper, &c->clients)) < 0 ||
	    (r = allocators_new(&c->allocators)) < 0 ||
	    (r = unwinder_new(c->processes, c->modules, &c->unwinder)) < 0 ||
	    (r = windows_new(&c->windows)) < 0 ||
	    (r = scribe_new(c->loop, c->modules, c->keeper, "/proc/self/exe", &c->scribe)) < 0)
		return r;
	e->kernel = module_get_kernel(c->modules);
	e->unknown = module_get_note(c->modules, "[unknown process]");
	e->missing = module_get_note(c->modules, "[lost]");
	for (int i = 0; i < UNWIND_END_N; i++) {
		const char *note = unwind_end_note((enum unwind_end)i);

		e->cut[i] = note ? module_get_note(c->modules, note) : NULL;
		if (note && !e->cut[i])
			return -ENOMEM;
	}
	return e->kernel && e->unknown && e->missing ? 0 : -ENOMEM;
}

/* Whoever gave the directory may be root, and can do there what we cannot. */
static void refuse_directory(const char *path, const char *option, int error, char *why,
			     size_t why_size)
{
	snprintf(why, why_size,
		 "%s: %s (to user id %u, as which profd works): choose another with %s", path,
		 strerror(-error), geteuid(), option);
}

static int open_store(struct engine *e, char *why, size_t why_size)
{
	const struct config *c = e->config;
	int r = store_new(c->state_dir, &c->limits, &e->ctx.store);

	if (r < 0)
		refuse_directory(c->state_dir, "--state-dir", r, why, why_size);
	return r;
}

/* An engine whose keeper was killed takes a moment to end. */
static int listen_at(struct engine *e, const char *path, int passed)
{
	int r = -EADDRINUSE;

	for (int i = 0; r == -EADDRINUSE && i < LISTEN_TRIES; i++) {
		if (i > 0)
			usleep(LISTEN_AGAIN_US);
		r = server_new(&e->ctx, path, passed, &e->server);
	}
	return r;
}

/* @passed: taken over; -1: it is for us to make one. */
static int open_socket(struct engine *e, int passed, char *why, size_t why_size)
{
	const struct config *c = e->config;
	_cleanup_free_ char *path = NULL;
	int r = 0;

	if (passed < 0 && mkdir(c->runtime_dir, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0 && asprintf(&path, "%s/" SOCKET_NAME, c->runtime_dir) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = listen_at(e, path, passed);
	if (r == -EADDRINUSE)
		snprintf(why, why_size, "%s: another profd listens there", path);
	else if (r < 0)
		refuse_directory(c->runtime_dir, "--runtime-dir", r, why, why_size);
	return r;
}

/* A private daemon may be started by a service, whose descriptors are not for it. */
static int take_over(struct engine *e, char *why, size_t why_size)
{
	struct fdstore_handover handover = {.socket = -1};
	int r = 0;

	if (!e->config->private && (r = fdstore_take_over(e->shelf, &handover)) < 0) {
		snprintf(why, why_size, "start: %s", strerror(-r));
		return r;
	}
	r = open_socket(e, take_fd(&handover.socket), why, why_size);
	if (r >= 0)
		engine_restore_tables(e, &handover);
	fdstore_handover_done(&handover);
	return r;
}

/* Two requests to the keeper for each process of the machine: nobody's start waits for
 * that, but the first who asks. What is sampled meanwhile lies in the rings. */
static int on_look(sd_event_source *source, void *userdata)
{
	struct engine *e = userdata;

	if (e->ctx.sampler)
		(void)process_scan(e->ctx.processes);
	engine_scan_clients(e);
	engine_tell_started(e);
	return 0;
}

/* CPU sampling is worth having, not worth failing for: heaps work without. */
int engine_start_machine(struct engine *e)
{
	static char why[512];
	int r;

	if (engine_start_cpu(e, 0, why, sizeof(why)) < 0)
		e->ctx.no_sampler = why;
	sd_event_source_disable_unref(e->look);
	e->look = NULL;
	r = sd_event_add_defer(e->ctx.loop, &e->look, on_look, e);
	return r < 0 ? r : sd_event_source_set_priority(e->look, SD_EVENT_PRIORITY_IMPORTANT);
}

static int start(struct engine *e, char *why, size_t why_size)
{
	int r = make_rooms(e);

	if (r >= 0)
		r = block_signals(e);
	if (r >= 0)
		r = engine_start_sweeping(e);
	if (r < 0) {
		snprintf(why, why_size, "start: %s", strerror(-r));
		return r;
	}
	r = open_store(e, why, why_size);
	if (r >= 0)
		r = take_over(e, why, why_size);
	if (r < 0 || e->config->private)
		return r;
	r = engine_start_machine(e);
	if (r >= 0)
		r = engine_start_rotation(e);
	if (r >= 0)
		r = engine_listen_to_hangup(e);
	if (r >= 0)
		r = sd_event_add_time_relative(e->ctx.loop, &e->retain_timer, CLOCK_MONOTONIC,
					       RETAIN_EVERY_US, 0, on_retain, e);
	if (r < 0)
		snprintf(why, why_size, "start: %s", strerror(-r));
	return r;
}

int engine_new(const struct config *config, struct keeper *keeper, int shelf,
	       struct engine **ret_engine, char *why, size_t why_size)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e) {
		snprintf(why, why_size, "start: out of memory");
		profd_closep(&shelf);
		keeper_free(keeper);
		return -ENOMEM;
	}
	e->ctx.keeper = keeper;
	e->shelf = shelf;
	raise_limits();
	e->config = e->started_with = config;
	e->ctx.engine = e;
	e->ctx.private = config->private;
	journal_init(&e->ctx.journal);
	e->ctx.start_mono_ns = clock_mono_ns();
	e->ctx.drain = engine_bring_up;
	e->ctx.attach = engine_attach;
	e->ctx.scan = engine_scan_clients;
	e->ctx.watch = engine_watch;
	e->ctx.offcpu_open = engine_offcpu_open;
	e->ctx.offcpu_take = engine_offcpu_take;
	e->ctx.offcpu_close = engine_offcpu_close;
	e->ctx.threads = engine_threads_begin;
	e->ctx.trace_open = engine_trace_open;
	e->ctx.trace_take = engine_trace_take;
	e->ctx.trace_close = engine_trace_close;
	e->ctx.trace_mark = engine_trace_mark;
	e->ctx.quit = engine_quit;
	r = start(e, why, why_size);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	*ret_engine = e;
	return 0;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	e->leaving = true;
	series_cancel(e->rotation);
	server_free(e->server);
	heap_clients_free(e->ctx.clients);
	allocators_free(e->ctx.allocators);
	scribe_free(e->ctx.scribe);
	last_files_free(&e->ctx);
	ended_free(&e->ctx);
	engine_stop_cpu(e);
	sd_event_source_disable_unref(e->look);
	sd_event_source_disable_unref(e->retain_timer);
	sd_event_source_disable_unref(e->sweep_timer);
	sd_event_source_disable_unref(e->feed_timer);
	sd_event_source_disable_unref(e->quit_timer);
	engine_threads_free(e);
	engine_offcpu_free(e);
	windows_free(e->ctx.windows);
	unwinder_free(e->ctx.unwinder);
	sampler_free(e->ctx.sampler);
	process_table_free(e->ctx.processes);
	module_table_free(e->ctx.modules);
	store_free(e->ctx.store);
	keeper_free(e->ctx.keeper);
	sd_event_unref(e->ctx.loop);
	profd_closep(&e->shelf);
	if (e->reloaded)
		config_done(e->reloaded);
	free(e->reloaded);
	free(e);
}

void engine_describe(const struct engine *e, char *ret, size_t size)
{
	const struct sampler *s = e->ctx.sampler;

	char rate[32] = "";

	if (!s) {
		snprintf(ret, size, "heap only: %s", e->ctx.no_sampler ?: "nothing is watched yet");
		return;
	}
	if (sampler_frequency(s))
		snprintf(rate, sizeof(rate), " at %u Hz", sampler_frequency(s));
	snprintf(ret, size, "%s%s%s%s, %zu clients", sampler_event(s), rate,
		 *sampler_event_note(s) ? ": " : "", sampler_event_note(s),
		 heap_clients_count(e->ctx.clients));
}

int engine_run(struct engine *e)
{
	int r = engine_start_watchdog(e);

	return r < 0 ? r : sd_event_loop(e->ctx.loop);
}
