/*
 * profctl top: the functions of a profile with the most of something, laid out
 * as `go tool pprof -top` does, so that the two can be held side by side.
 *
 * As there, functions below half a percent of the total are left out, and the
 * unit suits the smallest of the rest. Against a base, the total is of the
 * sizes of all changes, whatever their sign: a share of what shrank and grew by
 * the same amount would be of nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/profctl/args.h"
#include "client/profctl/output.h"
#include "client/profctl/units.h"
#include "profd/base.h"
#include "proto/pprof.h"
#include "proto/pprof_top.h"

static const char help[] =
	"Usage: profctl top [OPTIONS] FILE\n"
	"\n"
	"Shows the functions of a profile that have most of something: by themselves\n"
	"(flat), and with all that they called (cum).\n"
	"\n"
	"  --base FILE     less what is in this earlier profile: what grew since\n"
	"  --type NAME     which of the profile's values: inuse_space, alloc_objects, cpu ..\n"
	"  --cum           order by cum, not by flat\n"
	"  -n N            so many functions; 20 by default, 0 for all\n"
	"  --json          one object\n"
	"\n"
	"Example: profctl top --base first.pb.gz last.pb.gz\n";

#define TOP_READ_BYTES (1u << 30) /* inflated: what does not fit is no profile of ours */
#define TOP_ROWS       20
#define TOP_MAX_ROWS   1000000
#define TOP_CUTOFF     200 /* a function with less than total/200 is left out, as in pprof */

enum {
	OPTION_BASE = ARGS_FIRST,
	OPTION_TYPE,
	OPTION_CUM,
};

static const struct option options[] = {
	{"base", required_argument, NULL, OPTION_BASE},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"cum", no_argument, NULL, OPTION_CUM},
	ARGS_COMMON,
};

struct top {
	const char *file, *base_file, *type_name;
	bool by_cum;
	uint64_t n_rows; /* to show; 0: all */
	struct pprof *profile, *base;
	const char *type, *unit;
	struct pprof_top *top;
	int64_t total;
	size_t n_dropped;
};

static void top_done(struct top *t)
{
	pprof_top_free(t->top);
	pprof_free(t->base);
	pprof_free(t->profile);
}

/* Returns ARGS_END, ARGS_BAD or ARGS_HELP. */
static int parse(struct profctl *ctl, int argc, char **argv, struct top *t)
{
	int value;

	t->n_rows = TOP_ROWS;
	args_start();
	while ((value = args_next(ctl, argc, argv, ":hn:", options)) != ARGS_END) {
		if (value < 0)
			return value;
		if (value == OPTION_BASE)
			t->base_file = optarg;
		else if (value == OPTION_TYPE)
			t->type_name = optarg;
		else if (value == OPTION_CUM)
			t->by_cum = true;
		else if (args_number(ctl, "-n", 0, TOP_MAX_ROWS, &t->n_rows) < 0)
			return ARGS_BAD;
	}
	if (argc - optind != 1) {
		args_error(ctl, "%s",
			   argc == optind ? "no profile given" : "one profile at a time");
		return ARGS_BAD;
	}
	t->file = argv[optind];
	return ARGS_END;
}

static int read_profile(const char *path, struct pprof **ret_profile)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	r = fd < 0 ? -errno : pprof_read(fd, TOP_READ_BYTES, ret_profile);
	if (r == -EBADMSG)
		output_error("%s: not a pprof profile", path);
	else if (r == -EFBIG)
		output_error("%s: larger than %u MB: not a profile of profd's", path,
			     TOP_READ_BYTES >> 20);
	else if (r < 0)
		output_error("%s: %s", path, strerror(-r));
	return r;
}

/* "inuse_objects, inuse_space", malloc'd; NULL: out of memory. */
static char *list_types(const struct pprof *p)
{
	char *list = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&list, &size);

	for (size_t i = 0; stream && i < pprof_n_sample_types(p); i++) {
		const char *type, *unit;

		pprof_sample_type(p, i, &type, &unit);
		fprintf(stream, "%s%s", i > 0 ? ", " : "", type);
	}
	if (stream && fclose(stream) == 0)
		return list;
	free(list);
	return NULL;
}

static void report_type(const struct top *t)
{
	_cleanup_free_ char *list = list_types(t->profile);

	output_error("--type: %s has no \"%s\": it has %s", t->file, t->type_name,
		     list ?: "others");
}

static void report_kinds(const struct top *t)
{
	_cleanup_free_ char *list = list_types(t->profile), *base_list = list_types(t->base);

	output_error("%s: has %s, %s has %s: give two profiles of one kind and event", t->base_file,
		     base_list ?: "other values", t->file, list ?: "others");
}

/* Sums the profile up. Returns an exit code, or -1: go on. */
static int sum(struct top *t)
{
	size_t type;
	int r;

	r = pprof_find_type(t->profile, t->type_name, &type);
	if (r < 0 && t->type_name) {
		report_type(t);
		return PROFCTL_USAGE;
	}
	if (r < 0) {
		output_error("%s: has no values", t->file);
		return PROFCTL_FAILED;
	}
	pprof_sample_type(t->profile, type, &t->type, &t->unit);
	if (t->base && !pprof_same_kind(t->profile, t->base)) {
		report_kinds(t);
		return PROFCTL_FAILED;
	}
	r = pprof_top_new(t->profile, t->base, type, &t->top);
	if (r < 0)
		output_error("%s: %s", t->file, strerror(-r));
	return r < 0 ? PROFCTL_FAILED : -1;
}

static int64_t size_of(int64_t value)
{
	return value == INT64_MIN ? INT64_MAX : value < 0 ? -value : value;
}

static int order_by_cum(const void *left, const void *right)
{
	const struct pprof_top_entry *a = left, *b = right;

	if (size_of(a->cum) != size_of(b->cum))
		return size_of(a->cum) > size_of(b->cum) ? -1 : 1;
	if (size_of(a->flat) != size_of(b->flat))
		return size_of(a->flat) > size_of(b->flat) ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* The total, order, and which entries to leave out: these go to the end. */
static void arrange(struct top *t)
{
	struct pprof_top_entry *entries = t->top->entries;
	size_t n_kept = 0;

	t->total = t->base ? 0 : size_of(t->top->total);
	for (size_t i = 0; t->base && i < t->top->n_entries; i++)
		if (__builtin_add_overflow(t->total, size_of(entries[i].flat), &t->total))
			t->total = INT64_MAX;
	for (size_t i = 0; i < t->top->n_entries; i++) {
		if (entries[i].cum == 0)
			continue; /* as it was in the base: nothing to tell of */
		if (size_of(entries[i].cum) >= t->total / TOP_CUTOFF)
			entries[n_kept++] = entries[i];
		else
			t->n_dropped++;
	}
	t->top->n_entries = n_kept;
	if (t->by_cum)
		qsort(entries, n_kept, sizeof(*entries), order_by_cum);
}

static size_t n_shown(const struct top *t)
{
	return t->n_rows == 0 ? t->top->n_entries : min((size_t)t->n_rows, t->top->n_entries);
}

/* What all values of the report are printed in. */
static struct units choose_units(const struct top *t)
{
	int64_t smallest = 0;

	for (size_t i = 0; i < t->top->n_entries; i++) {
		const struct pprof_top_entry *e = &t->top->entries[i];
		int64_t size = size_of(e->flat != 0 ? e->flat : e->cum);

		if (size != 0 && (smallest == 0 || size < smallest))
			smallest = size;
	}
	return units_pick_range(smallest != 0 ? smallest : t->total, t->total, t->unit);
}

static void show_time(const struct top *t)
{
	const time_t seconds = pprof_time_ns(t->profile) / (int64_t)NSEC_PER_SEC;
	char text[64];
	struct tm tm;

	if (seconds == 0 || !localtime_r(&seconds, &tm))
		return;
	strftime(text, sizeof(text), "%b %-d, %Y at %-I:%M%P (%Z)", &tm);
	output_line("Time: %s", text);
}

static void show_duration(const struct top *t, const char *total)
{
	int64_t duration_ns = pprof_duration_ns(t->profile);
	char duration[UNITS_BYTES], percent[UNITS_BYTES], share[UNITS_BYTES + 8] = "";

	if (duration_ns == 0)
		return;
	units_format_auto(duration_ns, "nanoseconds", duration, sizeof(duration));
	units_format_percent(t->total, duration_ns, percent, sizeof(percent));
	if (strcmp(t->unit, "nanoseconds") == 0)
		snprintf(share, sizeof(share), " (%s)", percent);
	output_line("Duration: %s, Total samples = %s%s", duration, total, share);
}

static void show_head(const struct top *t, struct units units)
{
	char total[UNITS_BYTES], sum_text[UNITS_BYTES], percent[UNITS_BYTES];
	const char *trimmed;
	int64_t shown = 0;

	units_format(t->total, units, total, sizeof(total));
	output_line("Type: %s", t->type);
	show_time(t);
	show_duration(t, total);
	if (t->base) {
		units_format(t->top->total, units, sum_text, sizeof(sum_text));
		output_line("Change since %s: %s%s", t->base_file, t->top->total > 0 ? "+" : "",
			    sum_text);
	}
	for (size_t i = 0; i < n_shown(t); i++)
		if (__builtin_add_overflow(shown, t->top->entries[i].flat, &shown))
			shown = INT64_MAX;
	units_format(shown, units, sum_text, sizeof(sum_text));
	units_format_percent(shown, t->total, percent, sizeof(percent));
	trimmed = percent + strspn(percent, " ");
	output_line("Showing nodes accounting for %s, %s of %s total", sum_text, trimmed, total);
	if (t->n_dropped > 0) {
		units_format(t->total / TOP_CUTOFF, units, sum_text, sizeof(sum_text));
		output_line("Dropped %zu node%s (cum <= %s)", t->n_dropped,
			    t->n_dropped == 1 ? "" : "s", sum_text);
	}
	if (n_shown(t) < t->top->n_entries)
		output_line("Showing top %zu nodes out of %zu", n_shown(t), t->top->n_entries);
}

static void show_row(const struct top *t, const struct pprof_top_entry *e, int64_t sum_flat,
		     struct units units)
{
	char flat[UNITS_BYTES], cum[UNITS_BYTES], flat_share[UNITS_BYTES], sum_share[UNITS_BYTES],
		cum_share[UNITS_BYTES], line[24] = "";

	units_format(e->flat, units, flat, sizeof(flat));
	units_format(e->cum, units, cum, sizeof(cum));
	units_format_percent(e->flat, t->total, flat_share, sizeof(flat_share));
	units_format_percent(sum_flat, t->total, sum_share, sizeof(sum_share));
	units_format_percent(e->cum, t->total, cum_share, sizeof(cum_share));
	if (e->line > 0)
		snprintf(line, sizeof(line), ":%" PRId64, e->line);
	output_line("%10s %s %s %10s %s  %s%s%s%s", flat, flat_share, sum_share, cum, cum_share,
		    e->name, e->file[0] != '\0' ? "  " : "", e->file,
		    e->file[0] != '\0' ? line : "");
}

static void show(const struct top *t)
{
	struct units units = choose_units(t);
	int64_t sum_flat = 0;

	show_head(t, units);
	output_line("%10s %5s%% %5s%% %10s %5s%%", "flat", "flat", "sum", "cum", "cum");
	for (size_t i = 0; i < n_shown(t); i++) {
		const struct pprof_top_entry *e = &t->top->entries[i];

		if (__builtin_add_overflow(sum_flat, e->flat, &sum_flat))
			sum_flat = INT64_MAX;
		show_row(t, e, sum_flat, units);
	}
	if (t->top->total == 0 && !t->base && strcmp(t->type, "inuse_space") == 0)
		output_note("%s: nothing was in use any more: --type alloc_space shows what was "
			    "allocated",
			    t->file);
	if (pprof_n_comments(t->profile) > 0)
		output_line("%s", "");
	for (size_t i = 0; i < pprof_n_comments(t->profile); i++)
		output_line("%s", pprof_comment(t->profile, i));
}

static json_t *entries_json(const struct top *t)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n_shown(t); i++) {
		const struct pprof_top_entry *e = &t->top->entries[i];
		json_t *entry;

		entry = json_pack("{s:o, s:o, s:I, s:I, s:I}", "name", output_json_string(e->name),
				  "file", output_json_string(e->file), "line", (json_int_t)e->line,
				  "flat", (json_int_t)e->flat, "cum", (json_int_t)e->cum);
		if (json_array_append_new(list, entry) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *top_json(const struct top *t)
{
	json_t *comments = json_array(), *root;

	for (size_t i = 0; comments && i < pprof_n_comments(t->profile); i++)
		(void)json_array_append_new(comments,
					    output_json_string(pprof_comment(t->profile, i)));
	root = json_pack(
		"{s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "type", output_json_string(t->type), "unit",
		output_json_string(t->unit), "time_ns", (json_int_t)pprof_time_ns(t->profile),
		"duration_ns", (json_int_t)pprof_duration_ns(t->profile), "total",
		(json_int_t)t->top->total, "functions", entries_json(t), "comments", comments);
	if (root && t->base)
		(void)json_object_set_new(root, "base", output_json_string(t->base_file));
	return root;
}

static int top_main(struct profctl *ctl, int argc, char **argv)
{
	_cleanup_(top_done) struct top t = {};
	int value, code;

	value = parse(ctl, argc, argv, &t);
	if (value != ARGS_END)
		return args_exit(value);
	if (read_profile(t.file, &t.profile) < 0 ||
	    (t.base_file && read_profile(t.base_file, &t.base) < 0))
		return PROFCTL_FAILED;
	code = sum(&t);
	if (code >= 0)
		return code;
	arrange(&t);
	if (ctl->json)
		return output_json(top_json(&t), true) < 0 ? PROFCTL_FAILED : PROFCTL_DONE;
	show(&t);
	return PROFCTL_DONE;
}

const struct profctl_command profctl_top = {
	.name = "top",
	.run = top_main,
	.summary = "the functions with the most of a profile, or of what grew",
	.help = help,
};
