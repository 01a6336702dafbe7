#include "daemon/control/report.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/losses.h"
#include "daemon/heap/read.h"
#include "daemon/scribe/quarantine.h"
#include "profd/base.h"
#include "profd/self.h"
#include "proto/heap_table.h"

#define REPORT_MAX_PATH 511 /* bytes of the path of a file in quarantine */

/* What is odd about an attached client, if anything. */
static void describe(const struct heap_client *client, const struct heap_header *h, char *ret,
		     size_t size)
{
	uint64_t lost = h->lost[HEAP_LOST_STACKS] + h->lost[HEAP_LOST_LIVE];

	ret[0] = '\0';
	if (h->state == HEAP_STATE_OFF)
		snprintf(ret, size, "switched itself off: %s",
			 h->reason == HEAP_REASON_FORK ? "no table of its own after fork"
						       : "an internal check failed");
	else if (h->notes & HEAP_NOTE_RATE_INVALID)
		snprintf(ret, size, "PROFD_RATE could not be read: the default rate holds");
	else if (lost)
		snprintf(ret, size, "%llu samples lost: its tables are full",
			 (unsigned long long)lost);
	else if (h->labels.refused)
		snprintf(ret, size, "%llu labels refused: too many, or too many different ones",
			 (unsigned long long)h->labels.refused);
}

static void init_target(struct report_target *t)
{
	profd__reply__init(&t->reply);
	profd__target__init(&t->target);
	t->reply.kind_case = PROFD__REPLY__KIND_TARGET;
	t->reply.target = &t->target;
}

void report_target(struct control_context *ctx, const struct heap_client *client,
		   struct report_target *ret_t)
{
	struct heap_header header = {0};
	Profd__Target *t = &ret_t->target;
	const char *inside;
	uint64_t rss = 0;

	init_target(ret_t);
	(void)heap_table_header(client->table_fd, &header);
	(void)heap_client_inuse(client, &t->inuse_bytes, &t->inuse_objects);
	(void)process_read_rss(ctx->keeper, client->pid, &rss);
	describe(client, &header, ret_t->reason, sizeof(ret_t->reason));
	if (!*ret_t->reason) {
		inside = allocators_find(ctx->allocators, ctx->keeper, client->pid);
		snprintf(ret_t->reason, sizeof(ret_t->reason), "%s", inside ?: "");
	}
	t->pid = (uint32_t)client->pid;
	t->comm = (char *)client->comm;
	t->unit = client->unit ?: "";
	t->uid = client->uid;
	t->attached = header.state != HEAP_STATE_OFF;
	t->reason = ret_t->reason;
	t->rate_bytes = client->rate_bytes;
	t->rss_bytes = rss;
}

void report_refused(struct control_context *ctx, const struct heap_refusal *refusal,
		    struct report_target *ret_t)
{
	Profd__Target *t = &ret_t->target;
	uint64_t rss = 0;

	init_target(ret_t);
	heap_refusal_describe(refusal, ret_t->reason, sizeof(ret_t->reason));
	(void)process_read_rss(ctx->keeper, refusal->pid, &rss);
	t->pid = (uint32_t)refusal->pid;
	t->comm = (char *)refusal->comm;
	t->uid = refusal->uid;
	t->reason = ret_t->reason;
	t->rss_bytes = rss;
}

static void count(struct report_state *s, const char *name, uint64_t value, const char *help)
{
	Profd__Counter *c = &s->counters[s->state.n_counters];

	assert(s->state.n_counters < REPORT_COUNTERS_MAX);
	profd__counter__init(c);
	c->name = (char *)name;
	c->value = value;
	c->help = (char *)help;
	s->pointers[s->state.n_counters++] = c;
}

/* What goes down, too. */
static void gauge(struct report_state *s, const char *name, uint64_t value, const char *help)
{
	count(s, name, value, help);
	s->counters[s->state.n_counters - 1].gauge = true;
}

static void count_cpu(struct control_context *ctx, struct report_state *s)
{
	static const char *const ends[UNWIND_END_N] = {
		[UNWIND_COMPLETE] = "stacks_complete",
		[UNWIND_COPY] = "stacks_beyond_copy",
		[UNWIND_OTHER_STACK] = "stacks_on_other_stack",
		[UNWIND_DEPTH] = "stacks_too_deep",
		[UNWIND_NO_REG] = "stacks_no_register",
		[UNWIND_NO_MAP] = "stacks_no_mapping",
		[UNWIND_NO_CFI] = "stacks_no_unwind_information",
		[UNWIND_BROKEN] = "stacks_broken",
		[UNWIND_WORK] = "stacks_too_much_work",
	};
	struct window_moment now;
	struct sampler_stats cpu;
	struct unwind_stats unwind;

	if (ctx->timers.hz > 0) {
		count(s, "cpu_samples", ctx->timers.samples, "CPU samples read from clients");
		count(s, "cpu_samples_lost", ctx->timers.lost,
		      "samples that clients could not keep");
		count(s, "cpu_samples_missed", ctx->timers.missed,
		      "samples of threads that ended before they were taken");
		count(s, "cpu_threads_refused", ctx->timers.threads_refused,
		      "threads that had no timer");
	}
	if (!ctx->sampler)
		return;
	sampler_stats(ctx->sampler, &cpu);
	losses_moment(ctx, &now);
	count(s, "cpu_samples", cpu.samples, "CPU samples taken");
	for (int i = 0; i < LOSS_STACKS; i++)
		if (loss_info(i)->counter)
			count(s, loss_info(i)->counter, now.counters[i], loss_info(i)->help);
	count(s, "cpu_stacks_refused", windows_refused(ctx->windows),
	      "samples dropped because a window was full");
	unwinder_stats(ctx->unwinder, &unwind);
	for (int i = 0; i < UNWIND_END_N; i++)
		count(s, ends[i], unwind.ends[i], "user stacks, by how the walk ended");
}

static void count_offcpu(struct control_context *ctx, struct report_state *s)
{
	const struct control_offcpu *o = &ctx->offcpu_counted;

	count(s, "offcpu_stacks", o->stacks, "stacks of threads that began to wait");
	count(s, "offcpu_stacks_lost", o->stacks_lost,
	      "such stacks that the kernel had no room for");
	count(s, "offcpu_records_lost", o->records_lost,
	      "switches that the kernel had no room for");
	count(s, "offcpu_records_malformed", o->malformed, "switches that did not parse");
	count(s, "offcpu_ends_lost", o->ends_lost, "waits whose end is not known");
	count(s, "offcpu_threads_refused", o->threads_refused, "waiting threads beyond the limit");
	gauge(s, "traces", ctx->counters.traces, "traces under way");
	count(s, "traces_refused", ctx->counters.traces_refused, "traces beyond those under way");
	count(s, "trace_events_refused", ctx->counters.trace_events_refused,
	      "events and stacks that traces had no room for");
}

static void count_heap(struct control_context *ctx, struct report_state *s)
{
	struct heap_totals t;

	heap_clients_totals(ctx->clients, &t);
	count(s, "heap_samples", t.samples, "allocations sampled in clients");
	count(s, "heap_samples_lost_stacks", t.lost[HEAP_LOST_STACKS],
	      "such samples lost: a client's table of stacks was full");
	count(s, "heap_samples_lost_objects", t.lost[HEAP_LOST_LIVE],
	      "such samples lost: a client's table of live objects was full");
	count(s, "heap_samples_lost_nested", t.lost[HEAP_LOST_NESTED],
	      "such samples lost: in a signal handler that interrupted one");
	count(s, "heap_modules_lost", t.lost[HEAP_LOST_MODULES],
	      "frames without module: a client's table of modules was full");
	count(s, "waits_lost", t.lost[HEAP_LOST_WAITS],
	      "waits and created threads lost: a client had no room for their stacks");
	count(s, "labels_refused", t.labels_refused,
	      "labels that clients refused: too many, or too many different ones");
}

static void count_clients(struct control_context *ctx, struct report_state *s)
{
	const struct control_counters *c = &ctx->counters;

	gauge(s, "clients", heap_clients_count(ctx->clients), "attached clients");
	count(s, "tables_stored", ctx->tables.stored,
	      "heap tables that outlive the engine: another process keeps them, too");
	count(s, "tables_not_stored", ctx->tables.refused, "heap tables beyond what is kept there");
	count(s, "tables_restored", ctx->tables.restored,
	      "heap tables that came back when the engine was started anew");
	count(s, "tables_restored_dead", ctx->tables.restored_dead,
	      "of these, of processes that had ended meanwhile");
	count(s, "tables_invalid", ctx->tables.invalid,
	      "descriptors that came back and were not what they were called");
	count(s, "attach_refused", c->attach_refused, "heap tables that were refused");
	count(s, "attach_other_version", c->attach_other_version,
	      "of these, tables of another version: profctl list says whose");
}

static void count_profiles(struct control_context *ctx, struct report_state *s)
{
	const struct control_counters *c = &ctx->counters;
	struct store_stats store;

	count(s, "snapshots_written", c->snapshots_written, "profiles written");
	count(s, "snapshots_failed", c->snapshots_failed, "profiles that could not be written");
	store_get_stats(ctx->store, &store);
	count(s, "store_files", store.files, "profiles in the state directory");
	count(s, "store_bytes", store.bytes, "their size on the disk");
	count(s, "store_deleted", store.deleted, "profiles deleted to keep within the limits");
	count(s, "heaps_last", c->heaps_last, "last heaps of processes that ended");
	count(s, "programs_unexamined", allocators_unexamined(ctx->allocators),
	      "programs too large to be searched for an allocator of their own");
}

static void count_peers(struct control_context *ctx, struct report_state *s)
{
	const struct control_counters *c = &ctx->counters;

	count(s, "peers_refused", c->peers_refused, "connections beyond the limit");
	count(s, "peers_refused_user", c->peers_refused_user,
	      "connections beyond one user's share");
	count(s, "peers_waited", c->peers_waited,
	      "times that a user's requests had to wait for those of others");
	count(s, "peers_slow", c->peers_slow, "peers dropped because they did not read");
	count(s, "messages_malformed", c->messages_malformed, "peers dropped for what they sent");
	count(s, "windows_restarted", c->windows_restarted,
	      "times that the current window was full and began anew");
	count(s, "reloads", c->reloads, "times that settings were read anew");
	count(s, "reloads_failed", c->reloads_failed,
	      "times that they were refused, and the old ones kept");
	count(s, "messages_suppressed", ctx->journal.suppressed,
	      "messages to the journal beyond the limit");
}

static void count_memory(struct control_context *ctx, struct report_state *s)
{
	gauge(s, "windows_bytes", windows_bytes(ctx->windows), "memory of samples not yet written");
	gauge(s, "processes", process_count(ctx->processes), "processes known");
	count(s, "processes_refused", process_table_refused(ctx->processes),
	      "processes and mappings beyond the limit");
	gauge(s, "modules", module_count(ctx->modules), "program files and libraries known");
	gauge(s, "modules_open", module_table_open(ctx->modules), "of these, files held open");
	count(s, "modules_freed", module_table_freed(ctx->modules),
	      "files let go, since nothing used them any more");
	gauge(s, "unwind_bytes", module_table_cfi_bytes(ctx->modules),
	      "copies of the files' unwind information");
	count(s, "modules_refused", module_table_refused(ctx->modules), "files beyond the limit");
	count(s, "perf_maps_refused", module_table_perf_maps_refused(ctx->modules),
	      "perf-map files that were not plain, not their process's own, open to others, or too "
	      "large");
}

static void count_scribe(struct control_context *ctx, struct report_state *s)
{
	struct scribe_stats scribe;

	gauge(s, "scribe_pending", scribe_pending(ctx->scribe), "profiles being symbolized");
	scribe_get_stats(ctx->scribe, &scribe);
	count(s, "scribe_restarts", scribe.restarts, "scribes that died");
	gauge(s, "scribe_quarantined", scribe.quarantined, "files that killed a scribe");
	count(s, "scribe_locations", scribe.locations, "code addresses in profiles");
	count(s, "scribe_locations_named", scribe.locations_named, "of these, with a name");
	count(s, "scribe_locations_cached", scribe.locations_cached,
	      "of these, known from an earlier profile");
	count(s, "debug_files", scribe.debug_files, "separate debug files handed over");
	count(s, "debug_files_refused", scribe.debug_refused,
	      "debug files of another build, of another owner, or too large");
}

/* In the order in which they are shown. */
static void count_all(struct control_context *ctx, struct report_state *s)
{
	count_cpu(ctx, s);
	count_offcpu(ctx, s);
	count_heap(ctx, s);
	count_clients(ctx, s);
	count_profiles(ctx, s);
	count_peers(ctx, s);
	count_memory(ctx, s);
	count_scribe(ctx, s);
	gauge(s, "resident_bytes", self_resident_bytes(), "memory of the daemon");
}

static void add_durations(struct control_context *ctx, struct report_state *s)
{
	Profd__Histogram *to = s->histograms[0] = &s->symbolizing;
	struct scribe_stats scribe;

	scribe_get_stats(ctx->scribe, &scribe);
	memcpy(s->bounds, histogram_bounds, sizeof(s->bounds));
	memcpy(s->counts, scribe.durations.counts, sizeof(s->counts));
	profd__histogram__init(to);
	to->name = "symbolize_duration";
	to->help = "from a profile's being frozen to its being symbolized and written";
	to->bounds = s->bounds;
	to->n_bounds = ARRAY_SIZE(s->bounds);
	to->counts = s->counts;
	to->n_counts = ARRAY_SIZE(s->counts);
	to->sum = (double)scribe.durations.sum_ns / NSEC_PER_SEC;
	s->state.histograms = s->histograms;
	s->state.n_histograms = ARRAY_SIZE(s->histograms);
}

/* The end of a long path says more than its beginning. All of it has to fit into
 * one packet. */
static char *short_path(const char *path)
{
	size_t n = strlen(path);

	return (char *)path + (n > REPORT_MAX_PATH ? n - REPORT_MAX_PATH : 0);
}

static void add_quarantined(struct control_context *ctx, struct report_state *s)
{
	const struct quarantine *quarantine = scribe_quarantine(ctx->scribe);
	const struct quarantined *q;
	size_t n = 0;

	for (; n < PROFD_MAX_QUARANTINED && (q = quarantine_get(quarantine, n)); n++) {
		Profd__Quarantined *to = s->quarantined_pointers[n] = &s->quarantined[n];

		profd__quarantined__init(to);
		to->path = short_path(q->path);
		to->build_id = (char *)q->build_id;
		to->why = (char *)q->why;
		to->unix_ns = q->unix_ns;
	}
	s->state.quarantined = s->quarantined_pointers;
	s->state.n_quarantined = n;
}

static void add_role(struct report_state *s, const char *name, pid_t pid)
{
	Profd__Role *role = &s->roles[s->state.n_roles];

	if (pid <= 0)
		return;
	profd__role__init(role);
	role->name = (char *)name;
	role->pid = (uint32_t)pid;
	s->role_pointers[s->state.n_roles++] = role;
}

/* A keeper that has gone is noticed elsewhere. */
static void add_roles(struct control_context *ctx, struct report_state *s)
{
	struct keeper_description *k = &s->keeper;
	char *line;

	if (keeper_describe(ctx->keeper, k) < 0)
		*k = (struct keeper_description){0};
	s->state.roles = s->role_pointers;
	add_role(s, "keeper", k->keeper);
	add_role(s, "starter", k->starter);
	add_role(s, "engine", getpid());
	add_role(s, "scribe", scribe_pid(ctx->scribe));
	s->state.pid = s->roles[0].pid;
	s->state.lost = s->lost;
	for (char *rest = k->notes; (line = strsep(&rest, "\n")) && *line;)
		if (s->state.n_lost < REPORT_LOST_MAX)
			s->lost[s->state.n_lost++] = line;
	if (k->keeper <= 0)
		return;
	count(s, "engine_restarts", k->engines - 1, "engines that were killed, and replaced");
	count(s, "keeper_requests", k->requests, "what the engine asked of the keeper");
	count(s, "keeper_refused", k->refused, "of these, what an engine may not have");
}

void report_state(struct control_context *ctx, bool all, struct report_state *ret_s)
{
	Profd__State *t = &ret_s->state;

	profd__reply__init(&ret_s->reply);
	profd__state__init(t);
	ret_s->reply.kind_case = PROFD__REPLY__KIND_STATE;
	ret_s->reply.state = t;
	t->counters = ret_s->pointers;
	t->version = PROFD_VERSION;
	t->uptime_ns = clock_mono_ns() - ctx->start_mono_ns;
	t->state_dir = (char *)store_dir(ctx->store);
	t->event = ctx->sampler ? (char *)sampler_event(ctx->sampler) : "none";
	t->event_note = ctx->sampler ? (char *)sampler_event_note(ctx->sampler)
				     : (char *)(ctx->no_sampler ?: "nothing is watched");
	t->frequency_hz = ctx->sampler ? sampler_frequency(ctx->sampler) : 0;
	if (ctx->timers.hz > 0) {
		t->event = "timers";
		t->frequency_hz = ctx->timers.hz;
	}
	count_all(ctx, ret_s);
	add_durations(ctx, ret_s);
	add_roles(ctx, ret_s);
	if (all)
		add_quarantined(ctx, ret_s);
}
