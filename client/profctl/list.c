#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "client/profctl/args.h"
#include "client/profctl/connect.h"
#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "client/profctl/table.h"
#include "client/profctl/units.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl list [--all] [--json]\n"
	"\n"
	"Lists the processes that have the heap client: the bytes in use by its estimate,\n"
	"and the resident set. Below them those that have ended in the last day: how, when,\n"
	"and the file of their last heap.\n"
	"\n"
	"  --all           the others too, and why they have no client\n"
	"  --json          {\"targets\": [..], \"ended\": [..]}\n"
	"  --socket PATH   profd's socket\n"
	"\n"
	"Example: profctl list\n";

static const struct table_column columns[] = {
	{"PID", true},	   {"COMM", false},  {"UNIT", false},
	{"CLIENT", false}, {"IN-USE", true}, {"RSS", true},
};

enum { OPTION_ALL = ARGS_FIRST };

static const struct table_column ended_columns[] = {
	{"PID", true},	{"COMM", false},  {"UNIT", false},	{"ENDED", false},
	{"HOW", false}, {"IN-USE", true}, {"LAST HEAP", false},
};

struct listing {
	bool json;
	struct table table, ended;
	json_t *targets, *ended_list;
};

static void add_bytes(struct table *table, bool known, int64_t bytes)
{
	char text[UNITS_BYTES];

	units_format_auto(bytes, "bytes", text, sizeof(text));
	table_add(table, "%s", known ? text : "-");
}

static void add_row(struct table *table, const Profd__Target *target)
{
	const char *reason = target->reason;

	table_add(table, "%" PRIu32, target->pid);
	table_add(table, "%s", target->comm);
	table_add(table, "%s", target->unit[0] != '\0' ? target->unit : "-");
	if (!target->attached)
		table_add(table, "%s", reason[0] != '\0' ? reason : "not attached");
	else
		table_add(table, "attached%s%s", reason[0] != '\0' ? ": " : "", reason);
	add_bytes(table, target->attached, target->inuse_bytes);
	add_bytes(table, target->rss_bytes > 0, (int64_t)target->rss_bytes);
}

static json_t *target_json(const Profd__Target *target)
{
	return json_pack("{s:I, s:o, s:o, s:I, s:b, s:o, s:I, s:I, s:I, s:I}", "pid",
			 (json_int_t)target->pid, "comm", output_json_string(target->comm), "unit",
			 output_json_string(target->unit), "uid", (json_int_t)target->uid,
			 "attached", target->attached, "reason", output_json_string(target->reason),
			 "inuse_bytes", (json_int_t)target->inuse_bytes, "inuse_objects",
			 (json_int_t)target->inuse_objects, "rate_bytes",
			 (json_int_t)target->rate_bytes, "rss_bytes",
			 (json_int_t)target->rss_bytes);
}

/* To the second, in UTC, as files are named. */
static void format_time(int64_t unix_ns, char *ret, size_t size)
{
	time_t seconds = (time_t)(unix_ns / (int64_t)NSEC_PER_SEC);
	struct tm tm;

	ret[0] = '\0';
	if (gmtime_r(&seconds, &tm))
		strftime(ret, size, "%Y-%m-%d %H:%M:%SZ", &tm);
}

static void add_ended(struct table *table, const Profd__Ended *ended)
{
	char when[32];

	format_time(ended->unix_ns, when, sizeof(when));
	table_add(table, "%" PRIu32, ended->pid);
	table_add(table, "%s", ended->comm);
	table_add(table, "%s", ended->unit[0] != '\0' ? ended->unit : "-");
	table_add(table, "%s", when);
	table_add(table, "%s", ended->how);
	add_bytes(table, true, ended->inuse_bytes);
	table_add(table, "%s",
		  ended->writing	   ? "being written"
		  : ended->path[0] != '\0' ? ended->path
					   : "-");
}

static json_t *ended_json(const Profd__Ended *ended)
{
	json_t *json =
		json_pack("{s:I, s:o, s:o, s:I, s:o, s:I, s:I, s:b, s:b, s:b, s:o}", "pid",
			  (json_int_t)ended->pid, "comm", output_json_string(ended->comm), "unit",
			  output_json_string(ended->unit), "uid", (json_int_t)ended->uid, "how",
			  output_json_string(ended->how), "time_ns", (json_int_t)ended->unix_ns,
			  "inuse_bytes", (json_int_t)ended->inuse_bytes, "core_dumped",
			  ended->core_dumped, "out_of_memory", ended->out_of_memory, "writing",
			  ended->writing, "path", output_json_string(ended->path));
	bool signalled = ended->signal != 0;

	if (json && ended->status_known)
		(void)json_object_set_new(
			json, signalled ? "signal" : "status",
			json_integer((json_int_t)(signalled ? ended->signal : ended->status)));
	return json;
}

static void note_no_targets(void)
{
	_cleanup_free_ char *client = helper_name_client();

	output_note("no targets: \"profctl enable UNIT\" for a service, or start a program with "
		    "LD_PRELOAD=%s",
		    client ?: "libprofd.so");
}

static int show_tables(struct listing *listing)
{
	int r = 0;

	if (listing->table.n_cells > 0)
		r = table_print(&listing->table);
	else
		note_no_targets();
	if (r == 0 && listing->ended.n_cells > 0) {
		output_line("%s", "");
		r = table_print(&listing->ended);
	}
	return r;
}

static int show(struct listing *listing)
{
	int r;

	if (listing->json)
		return output_json(json_pack("{s:O, s:O}", "targets", listing->targets, "ended",
					     listing->ended_list),
				   true);
	r = show_tables(listing);
	if (r < 0)
		output_error("list: out of memory");
	return r;
}

static int append(json_t *list, json_t *item)
{
	if (json_array_append_new(list, item) < 0) {
		output_error("list: out of memory");
		return -ENOMEM;
	}
	return 0;
}

/* Other kinds are a newer profd's: not for us. */
static int take_reply(const Profd__Reply *reply, void *userdata)
{
	struct listing *listing = userdata;

	if (reply->kind_case == PROFD__REPLY__KIND_TARGET) {
		if (listing->json)
			return append(listing->targets, target_json(reply->target));
		add_row(&listing->table, reply->target);
	} else if (reply->kind_case == PROFD__REPLY__KIND_ENDED) {
		if (listing->json)
			return append(listing->ended_list, ended_json(reply->ended));
		add_ended(&listing->ended, reply->ended);
	}
	return 0;
}

static int list_main(struct profctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, OPTION_ALL},
						ARGS_COMMON};
	Profd__List list = PROFD__LIST__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;
	struct listing listing = {};
	int value, code;

	args_start();
	while ((value = args_next(ctl, argc, argv, ":h", options)) == OPTION_ALL)
		list.all = true;
	if (value != ARGS_END)
		return args_exit(value);
	if (optind < argc) {
		args_error(ctl, "%s: list takes no arguments", argv[optind]);
		return PROFCTL_USAGE;
	}
	request.verb_case = PROFD__REQUEST__VERB_LIST;
	request.list = &list;
	listing.json = ctl->json;
	listing.targets = json_array();
	listing.ended_list = json_array();
	table_init(&listing.table, columns, ARRAY_SIZE(columns));
	table_init(&listing.ended, ended_columns, ARRAY_SIZE(ended_columns));
	code = connect_ask(ctl, &request, take_reply, &listing);
	if (code == PROFCTL_DONE && show(&listing) < 0)
		code = PROFCTL_FAILED;
	table_done(&listing.table);
	table_done(&listing.ended);
	json_decref(listing.targets);
	json_decref(listing.ended_list);
	return code;
}

const struct profctl_command profctl_list = {
	.name = "list",
	.run = list_main,
	.summary = "the targets, and whether the heap client is attached",
	.help = help,
};
