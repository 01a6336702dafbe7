#include <errno.h>
#include <inttypes.h>

#include "client/profctl/args.h"
#include "client/profctl/connect.h"
#include "client/profctl/output.h"
#include "client/profctl/table.h"
#include "client/profctl/units.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl list [--all] [--json]\n"
	"\n"
	"Lists the processes that have the heap client: the bytes in use by its estimate,\n"
	"and the resident set.\n"
	"\n"
	"  --all           the others too, and why they have no client\n"
	"  --json          {\"targets\": [..]}\n"
	"  --socket PATH   profd's socket\n"
	"\n"
	"Example: profctl list\n";

static const struct table_column columns[] = {
	{"PID", true},	   {"COMM", false},  {"UNIT", false},
	{"CLIENT", false}, {"IN-USE", true}, {"RSS", true},
};

enum { OPTION_ALL = ARGS_FIRST };

struct listing {
	bool json;
	struct table table;
	json_t *targets;
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
		table_add(table, "attached%s%s%s", target->dead ? ", ended" : "",
			  reason[0] != '\0' ? ": " : "", reason);
	add_bytes(table, target->attached, target->inuse_bytes);
	add_bytes(table, target->rss_bytes > 0, (int64_t)target->rss_bytes);
}

static json_t *target_json(const Profd__Target *target)
{
	return json_pack(
		"{s:I, s:o, s:o, s:I, s:b, s:b, s:o, s:I, s:I, s:I, s:I}", "pid",
		(json_int_t)target->pid, "comm", output_json_string(target->comm), "unit",
		output_json_string(target->unit), "uid", (json_int_t)target->uid, "attached",
		target->attached, "dead", target->dead, "reason",
		output_json_string(target->reason), "inuse_bytes", (json_int_t)target->inuse_bytes,
		"inuse_objects", (json_int_t)target->inuse_objects, "rate_bytes",
		(json_int_t)target->rate_bytes, "rss_bytes", (json_int_t)target->rss_bytes);
}

static int show(struct listing *listing)
{
	int r;

	if (listing->json)
		return output_json(json_pack("{s:O}", "targets", listing->targets), true);
	r = table_print(&listing->table);
	if (r < 0)
		output_error("list: out of memory");
	else if (listing->table.n_cells == 0)
		output_note("no targets: start a program with LD_PRELOAD=libprofd.so");
	return r;
}

static int take_reply(const Profd__Reply *reply, void *userdata)
{
	struct listing *listing = userdata;

	/* Other kinds are a newer profd's: not for us. */
	if (reply->kind_case != PROFD__REPLY__KIND_TARGET)
		return 0;
	if (!listing->json) {
		add_row(&listing->table, reply->target);
	} else if (json_array_append_new(listing->targets, target_json(reply->target)) < 0) {
		output_error("list: out of memory");
		return -ENOMEM;
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
	table_init(&listing.table, columns, ARRAY_SIZE(columns));
	code = connect_ask(ctl, &request, take_reply, &listing);
	if (code == PROFCTL_DONE && show(&listing) < 0)
		code = PROFCTL_FAILED;
	table_done(&listing.table);
	json_decref(listing.targets);
	return code;
}

const struct profctl_command profctl_list = {
	.name = "list",
	.run = list_main,
	.summary = "the targets, and whether the heap client is attached",
	.help = help,
};
