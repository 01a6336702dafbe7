/*
 * `profctl enabled`: the services that have our drop-in, and whether what runs of them
 * has the client: by its memory map, which is what counts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/dropin.h"
#include "client/profctl/enable.h"
#include "client/profctl/output.h"
#include "client/profctl/table.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl enabled [--json]\n"
	"\n"
	"Lists the services that \"profctl enable\" put the client under, and whether what\n"
	"runs of them has it.\n"
	"\n"
	"  --json          {\"units\": [..]}\n"
	"\n"
	"Example: profctl enabled\n";

static const struct table_column columns[] = {
	{"UNIT", false}, {"ACTIVE", false}, {"PID", true}, {"CLIENT", false}};

struct row {
	char *active;
	char *pid; /* "0": none */
	const char *client;
};

/* Returns 1, 0, or -errno: not to be known. */
static int process_has_client(const char *pid)
{
	_cleanup_free_ char *path = NULL, *line = NULL;
	size_t size = 0;
	FILE *maps;
	int has = 0;

	if (asprintf(&path, "/proc/%s/maps", pid) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	maps = fopen(path, "re");
	if (!maps)
		return -errno;
	while (!has && getline(&line, &size, maps) > 0)
		has = strstr(line, "/libprofd.so") != NULL;
	if (!has && ferror(maps))
		has = -EIO;
	fclose(maps);
	return has;
}

static const char *client_of(const struct unit *unit, const char *pid, const char *active)
{
	int has;

	if (!unit_is(unit, "LoadState", "loaded"))
		return "there is no such unit any more: profctl disable";
	if (strcmp(pid, "0") == 0)
		return strcmp(active, "active") == 0 ? "not known" : "from its next start on";
	has = process_has_client(pid);
	if (has < 0)
		return "not known";
	return has ? "yes" : "needs a restart";
}

static int load_row(const char *name, struct row *ret_row)
{
	_cleanup_(unit_done) struct unit unit = {};
	_cleanup_free_ char *why = NULL, *active = NULL, *pid = NULL;
	bool template = unit_name_is_template(name);

	if (!template && systemctl_is_there() && unit_load(name, &unit, &why) == 0) {
		active = unit_value(&unit, "ActiveState");
		pid = unit_value(&unit, "MainPID");
	}
	active = active ?: strdup("-");
	pid = pid ?: strdup("0");
	if (!active || !pid)
		return -ENOMEM;
	ret_row->client = template    ? "all its instances"
			  : unit.text ? client_of(&unit, pid, active)
				      : "not known";
	ret_row->active = take_ptr(active);
	ret_row->pid = take_ptr(pid);
	return 0;
}

static int show(const struct profctl *ctl, const struct dropin_list *list)
{
	json_t *units = json_array();
	struct table table;
	int r = 0;

	table_init(&table, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; r == 0 && i < list->n; i++) {
		struct row row = {};

		r = load_row(list->units[i], &row);
		if (r < 0)
			break;
		table_add(&table, "%s", list->units[i]);
		table_add(&table, "%s", row.active);
		table_add(&table, "%s", strcmp(row.pid, "0") == 0 ? "-" : row.pid);
		table_add(&table, "%s", row.client);
		(void)json_array_append_new(units,
					    json_pack("{s:o, s:o, s:I, s:s}", "unit",
						      output_json_string(list->units[i]), "active",
						      output_json_string(row.active), "pid",
						      (json_int_t)strtoll(row.pid, NULL, 10),
						      "client", row.client));
		free(row.active);
		free(row.pid);
	}
	if (r == 0 && ctl->json)
		r = output_json(json_pack("{s:O}", "units", units), true);
	else if (r == 0 && list->n > 0)
		r = table_print(&table);
	else if (r == 0)
		output_note("no service is enabled: profctl enable UNIT");
	json_decref(units);
	table_done(&table);
	return r;
}

static int enabled_main(struct profctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {ARGS_COMMON};
	_cleanup_(dropin_list_done) struct dropin_list list = {};
	int value, r;

	args_start();
	value = args_next(ctl, argc, argv, ":h", options);
	if (value != ARGS_END)
		return args_exit(value);
	if (optind < argc) {
		args_error(ctl, "%s: enabled takes no arguments", argv[optind]);
		return PROFCTL_USAGE;
	}
	r = dropin_scan(&list);
	if (r < 0) {
		output_error(DROPIN_DIR ": %s", strerror(-r));
		return PROFCTL_FAILED;
	}
	r = show(ctl, &list);
	if (r < 0)
		output_error("enabled: %s", strerror(-r));
	return r < 0 ? PROFCTL_FAILED : PROFCTL_DONE;
}

const struct profctl_command profctl_enabled = {
	.name = "enabled",
	.run = enabled_main,
	.summary = "the services that have it, and whether they need a restart",
	.help = help,
};
