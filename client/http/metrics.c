/*
 * Prometheus' text format, version 0.0.4. Every counter of `profctl status` is
 * here: those that tell of samples and snapshots under one name each, with what
 * they are of as a label; all others under a name of their own. A family is
 * written in one piece, as the format wants it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/http/endpoint.h"
#include "client/http/self.h"
#include "client/http/targets.h"
#include "profd/base.h"
#include "profd/limits.h"

#define METRICS "text/plain; version=0.0.4; charset=utf-8"

static const struct family {
	const char *name, *label, *help;
	struct {
		const char *counter, *value;
	} members[20];
} families[] = {
	{"profd_samples_total",
	 "kind",
	 "Samples taken.",
	 {{"cpu_samples", "cpu"}, {"offcpu_stacks", "offcpu"}, {"heap_samples", "heap"}}},
	{"profd_samples_lost_total",
	 "reason",
	 "Samples, or what they are made of, that were lost.",
	 {{"cpu_samples_lost", "ring_full"},
	  {"cpu_samples_missed", "thread_ended"},
	  {"cpu_samples_orphaned", "task_ended"},
	  {"cpu_records_lost", "records_ring_full"},
	  {"cpu_records_malformed", "records_malformed"},
	  {"cpu_stacks_refused", "window_full"},
	  {"cpu_threads_refused", "thread_without_timer"},
	  {"offcpu_stacks_lost", "offcpu_ring_full"},
	  {"offcpu_records_lost", "offcpu_records_ring_full"},
	  {"offcpu_records_malformed", "offcpu_records_malformed"},
	  {"offcpu_ends_lost", "offcpu_ends"},
	  {"offcpu_threads_refused", "offcpu_threads"},
	  {"heap_samples_lost_stacks", "heap_stacks_full"},
	  {"heap_samples_lost_objects", "heap_objects_full"},
	  {"heap_samples_lost_nested", "heap_in_signal_handler"},
	  {"waits_lost", "waits_full"},
	  {"processes_refused", "processes_full"},
	  {"modules_refused", "modules_full"}}},
	{"profd_snapshots_total",
	 "result",
	 "Profiles, by what became of them.",
	 {{"snapshots_written", "written"}, {"snapshots_failed", "failed"}}},
};

static void put_label(FILE *to, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else
			fputc(c < 0x20 || c >= 0x7f ? '?' : c, to);
	}
}

static void put_head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s ", name);
	for (; *help; help++)
		fputc((unsigned char)*help < 0x20 || *help == '\\' ? '?' : *help, to);
	fprintf(to, "\n# TYPE %s %s\n", name, type);
}

static const Profd__Counter *find_counter(const Profd__State *s, const char *name)
{
	for (size_t i = 0; i < s->n_counters; i++)
		if (strcmp(s->counters[i]->name, name) == 0)
			return s->counters[i];
	return NULL;
}

static bool is_of_family(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (size_t j = 0; families[i].members[j].counter; j++)
			if (strcmp(families[i].members[j].counter, name) == 0)
				return true;
	return false;
}

static void put_family(FILE *to, const Profd__State *s, const struct family *f)
{
	put_head(to, f->name, "counter", f->help);
	for (size_t i = 0; f->members[i].counter; i++) {
		const Profd__Counter *c = find_counter(s, f->members[i].counter);

		if (c)
			fprintf(to, "%s{%s=\"%s\"} %" PRIu64 "\n", f->name, f->label,
				f->members[i].value, c->value);
	}
}

/* A name of profd's is one of a metric; of a stranger's it may be anything. */
static bool is_name(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static void put_counter(FILE *to, const Profd__Counter *c)
{
	char name[128];

	if (!is_name(c->name) || is_of_family(c->name))
		return;
	snprintf(name, sizeof(name), "profd_%s%s", c->name, c->gauge ? "" : "_total");
	put_head(to, name, c->gauge ? "gauge" : "counter", c->help);
	fprintf(to, "%s %" PRIu64 "\n", name, c->value);
}

/* A bucket of Prometheus' has those below it, too. */
static void put_histogram(FILE *to, const Profd__Histogram *h)
{
	uint64_t n = 0;
	char name[128];

	if (!is_name(h->name) || h->n_counts != h->n_bounds + 1)
		return;
	snprintf(name, sizeof(name), "profd_%s_seconds", h->name);
	put_head(to, name, "histogram", h->help);
	for (size_t i = 0; i < h->n_bounds; i++) {
		n += h->counts[i];
		fprintf(to, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, h->bounds[i], n);
	}
	n += h->counts[h->n_bounds];
	fprintf(to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
	fprintf(to, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name, h->sum, name, n);
}

static void put_state(FILE *to, const Profd__State *s)
{
	put_head(to, "profd_build_info", "gauge", "The version that runs.");
	fputs("profd_build_info{version=\"", to);
	put_label(to, s->version);
	fputs("\",event=\"", to);
	put_label(to, s->event);
	fputs("\"} 1\n", to);
	put_head(to, "profd_uptime_seconds", "gauge", "Since profd started.");
	fprintf(to, "profd_uptime_seconds %.3f\n", (double)s->uptime_ns / 1e9);
	put_head(to, "profd_frequency_hertz", "gauge", "CPU samples a second that are aimed at.");
	fprintf(to, "profd_frequency_hertz %" PRIu32 "\n", s->frequency_hz);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		put_family(to, s, &families[i]);
	for (size_t i = 0; i < s->n_counters; i++)
		put_counter(to, s->counters[i]);
	for (size_t i = 0; i < s->n_histograms; i++)
		put_histogram(to, s->histograms[i]);
}

static void put_target(FILE *to, const char *name, const Profd__Target *t, int64_t value)
{
	fprintf(to, "%s{pid=\"%" PRIu32 "\",comm=\"", name, t->pid);
	put_label(to, t->comm);
	fputs("\",unit=\"", to);
	put_label(to, t->unit);
	fprintf(to, "\"} %" PRId64 "\n", value);
}

static void put_targets(FILE *to, const struct answer *a)
{
	static const struct scope machine = {.kind = SCOPE_MACHINE};
	static const char *const names[][2] = {
		{"profd_target_heap_inuse_bytes", "Bytes in use, by the estimate of its samples."},
		{"profd_target_heap_inuse_objects", "Objects in use, likewise."},
		{"profd_target_resident_memory_bytes", "Resident memory."},
	};

	for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
		put_head(to, names[j][0], "gauge", names[j][1]);
		for (size_t i = 0; i < a->replies.n; i++) {
			const Profd__Target *t = targets_get(a, i, &machine, false);
			int64_t values[] = {t ? t->inuse_bytes : 0, t ? t->inuse_objects : 0,
					    t ? (int64_t)t->rss_bytes : 0};

			if (t)
				put_target(to, names[j][0], t, values[j]);
		}
	}
}

static void put_requests(FILE *to, const struct endpoint_counts *c)
{
	put_head(to, "profd_http_requests_total", "counter", "Requests answered.");
	fprintf(to, "profd_http_requests_total %" PRIu64 "\n", c->requests);
	put_head(to, "profd_http_refused_total", "counter",
		 "Of these, refused for who asked, for the Host, or without a password.");
	fprintf(to, "profd_http_refused_total %" PRIu64 "\n", c->refused);
	put_head(to, "profd_http_slow_total", "counter",
		 "Connections closed because a request did not arrive, or an answer was not "
		 "taken, in time.");
	fprintf(to, "profd_http_slow_total %" PRIu64 "\n", c->closed);
	put_head(to, "profd_http_connections", "gauge", "Connections now.");
	fprintf(to, "profd_http_connections %u\n", c->connections);
}

static void ask_state(const struct ask *who, struct answer *ret)
{
	struct ask_how how = {.timeout_ms = PROFD_HTTP_PATIENCE_MS, .ended_fd = -1};
	Profd__Status status = PROFD__STATUS__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	request.verb_case = PROFD__REQUEST__VERB_STATUS;
	request.status = &status;
	ask(who, &request, &how, ret);
}

void endpoint_metrics(const struct endpoint *e, struct reply *ret)
{
	_cleanup_(answer_done) struct answer state = {}, targets = {};
	char *text = NULL;
	FILE *stream;
	size_t n = 0;

	ask_state(&e->who, &state);
	if (state.error == 0)
		targets_ask(&e->who, false, &targets);
	if (state.error != 0 || targets.error != 0) {
		const struct answer *a = state.error != 0 ? &state : &targets;

		reply_plain_error(ret, a->error == ECONNREFUSED ? 503 : 500, a->why);
		return;
	}
	stream = open_memstream(&text, &n);
	if (stream) {
		for (size_t i = 0; i < state.replies.n; i++)
			if (state.replies.items[i]->kind_case == PROFD__REPLY__KIND_STATE)
				put_state(stream, state.replies.items[i]->state);
		put_targets(stream, &targets);
		put_requests(stream, &e->counts);
		self_put_metrics(stream, e->counts.start_unix_ns);
	}
	reply_stream(ret, METRICS, stream, &text, &n);
}
