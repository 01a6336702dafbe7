#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/profctl/args.h"
#include "client/profctl/connect.h"
#include "proto/duration.h"
#include "client/profctl/output.h"
#include "client/profctl/table.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl status [--json]\n"
	"\n"
	"Shows how profd does: the event and rate it samples at, where its files are, its\n"
	"processes, what this machine does not allow it and what is lost by that,\n"
	"files that ended the symbolizer and are not read any more, every counter, those of\n"
	"losses included, and how long profiles take to be symbolized.\n"
	"\n"
	"  --json          one object, counters and processes by name\n"
	"  --socket PATH   profd's socket\n"
	"\n"
	"Example: profctl status\n";

/* name, value, what it counts */
static const struct table_column columns[] = {{"", false}, {"", true}, {"", false}};

#define TIME_BYTES 32

static uint64_t times_of(const Profd__Histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < h->n_counts; i++)
		n += h->counts[i];
	return n;
}

/* How often, and how long on average. */
static void add_histogram(struct table *table, const Profd__Histogram *h)
{
	uint64_t n = times_of(h);

	table_add(table, "%s", h->name);
	table_add(table, "%" PRIu64, n);
	table_add(table, "%s: %.1f ms on average", h->help, n ? 1e3 * h->sum / (double)n : 0.0);
}

static int show_counters(const Profd__State *state)
{
	struct table table;
	int r;

	table_init(&table, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < state->n_counters; i++) {
		table_add(&table, "%s", state->counters[i]->name);
		table_add(&table, "%" PRIu64, state->counters[i]->value);
		table_add(&table, "%s", state->counters[i]->help);
	}
	for (size_t i = 0; i < state->n_histograms; i++)
		add_histogram(&table, state->histograms[i]);
	r = table_print(&table);
	table_done(&table);
	return r;
}

static void format_time(int64_t unix_ns, char *ret, size_t size)
{
	time_t seconds = (time_t)(unix_ns / (int64_t)NSEC_PER_SEC);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret, size, "%lld", (long long)seconds);
}

static void show_quarantined(const Profd__State *state)
{
	for (size_t i = 0; i < state->n_quarantined; i++) {
		const Profd__Quarantined *q = state->quarantined[i];
		bool known = q->build_id[0] != '\0';
		char when[TIME_BYTES];

		format_time(q->unix_ns, when, sizeof(when));
		output_line("quarantined: %s%s%s%s: %s at %s", q->path, known ? " (build-id " : "",
			    q->build_id, known ? ")" : "", q->why, when);
	}
}

/* A daemon of one process is named in the first line. */
static void show_roles(const Profd__State *state)
{
	char line[160];
	size_t n = 0;

	line[0] = '\0';
	for (size_t i = 0; i < state->n_roles && n < sizeof(line); i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s %" PRIu32, i ? ", " : "",
				      state->roles[i]->name, state->roles[i]->pid);
	if (state->n_roles > 0 && strcmp(state->roles[0]->name, "keeper") == 0)
		output_line("processes %s", line);
	for (size_t i = 0; i < state->n_lost; i++)
		output_line("lost      %s", state->lost[i]);
}

static int show(const Profd__State *state)
{
	char uptime[DURATION_BYTES], rate[24] = "";
	const char *note = state->event_note;
	int r;

	duration_format(state->uptime_ns, uptime, sizeof(uptime));
	if (state->frequency_hz > 0) /* else a fixed period, which is in the name */
		snprintf(rate, sizeof(rate), " at %" PRIu32 " Hz", state->frequency_hz);
	output_line("profd %s, pid %" PRIu32 ", up %s", state->version, state->pid, uptime);
	if (state->event[0] != '\0')
		output_line("cpu       %s%s%s%s%s", state->event, rate, note[0] != '\0' ? " (" : "",
			    note, note[0] != '\0' ? ")" : "");
	else
		output_line("cpu       off%s%s", note[0] != '\0' ? ": " : "", note);
	output_line("profiles  %s", state->state_dir);
	show_roles(state);
	show_quarantined(state);
	if (state->n_counters == 0)
		return 0;
	output_line("%s", "");
	r = show_counters(state);
	if (r < 0)
		output_error("status: out of memory");
	return r;
}

static json_t *quarantined_json(const Profd__State *state)
{
	json_t *list = json_array();
	char when[TIME_BYTES];

	for (size_t i = 0; list && i < state->n_quarantined; i++) {
		const Profd__Quarantined *q = state->quarantined[i];

		format_time(q->unix_ns, when, sizeof(when));
		(void)json_array_append_new(
			list, json_pack("{s:o, s:o, s:o, s:s}", "path", output_json_string(q->path),
					"build_id", output_json_string(q->build_id), "why",
					output_json_string(q->why), "time", when));
	}
	return list;
}

static json_t *roles_json(const Profd__State *state)
{
	json_t *roles = json_object();

	for (size_t i = 0; roles && i < state->n_roles; i++)
		(void)json_object_set_new(roles, state->roles[i]->name,
					  json_integer((json_int_t)state->roles[i]->pid));
	return roles;
}

static json_t *lost_json(const Profd__State *state)
{
	json_t *lost = json_array();

	for (size_t i = 0; lost && i < state->n_lost; i++)
		(void)json_array_append_new(lost, output_json_string(state->lost[i]));
	return lost;
}

/* By the upper end of each bucket, as Prometheus has them, but each by itself. */
static json_t *histogram_json(const Profd__Histogram *h)
{
	json_t *buckets = json_object();
	char bound[32];

	for (size_t i = 0; buckets && i < h->n_counts; i++) {
		snprintf(bound, sizeof(bound), "%g", i < h->n_bounds ? h->bounds[i] : 0);
		(void)json_object_set_new(buckets, i < h->n_bounds ? bound : "+Inf",
					  json_integer((json_int_t)h->counts[i]));
	}
	return json_pack("{s:I, s:f, s:o}", "count", (json_int_t)times_of(h), "sum_seconds", h->sum,
			 "buckets", buckets);
}

static json_t *histograms_json(const Profd__State *state)
{
	json_t *all = json_object();

	for (size_t i = 0; all && i < state->n_histograms; i++)
		(void)json_object_set_new(all, state->histograms[i]->name,
					  histogram_json(state->histograms[i]));
	return all;
}

static json_t *state_json(const Profd__State *state)
{
	json_t *counters = json_object();

	for (size_t i = 0; counters && i < state->n_counters; i++)
		/* A name that is no UTF-8 is refused, and is no counter's. */
		(void)json_object_set_new(counters, state->counters[i]->name,
					  json_integer((json_int_t)state->counters[i]->value));
	return json_pack(
		"{s:o, s:I, s:f, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
		output_json_string(state->version), "pid", (json_int_t)state->pid, "uptime_seconds",
		(double)state->uptime_ns / NSEC_PER_SEC, "event", output_json_string(state->event),
		"event_note", output_json_string(state->event_note), "frequency_hz",
		(json_int_t)state->frequency_hz, "state_dir", output_json_string(state->state_dir),
		"counters", counters, "histograms", histograms_json(state), "quarantined",
		quarantined_json(state), "processes", roles_json(state), "lost", lost_json(state));
}

static int take_reply(const Profd__Reply *reply, void *userdata)
{
	const struct profctl *ctl = userdata;

	if (reply->kind_case != PROFD__REPLY__KIND_STATE)
		return 0;
	return ctl->json ? output_json(state_json(reply->state), true) : show(reply->state);
}

static int status_main(struct profctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {ARGS_COMMON};
	Profd__Status status = PROFD__STATUS__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;
	int value;

	args_start();
	value = args_next(ctl, argc, argv, ":h", options);
	if (value != ARGS_END)
		return args_exit(value);
	if (optind < argc) {
		args_error(ctl, "%s: status takes no arguments", argv[optind]);
		return PROFCTL_USAGE;
	}
	request.verb_case = PROFD__REQUEST__VERB_STATUS;
	request.status = &status;
	return connect_ask(ctl, &request, take_reply, ctl);
}

const struct profctl_command profctl_status = {
	.name = "status",
	.run = status_main,
	.summary = "how profd does: event, rate, files, every counter",
	.help = help,
};
