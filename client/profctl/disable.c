/*
 * `profctl disable`: takes the drop-ins of `profctl enable` away. It works without a
 * running systemd and for units that exist no more, because a drop-in that outlives
 * the library makes the dynamic linker complain at each start of the service.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/dropin.h"
#include "client/profctl/enable.h"
#include "client/profctl/output.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl disable [--restart] UNIT... | --all\n"
	"\n"
	"Takes away what \"profctl enable\" put under services. What runs keeps the client\n"
	"until it is restarted. Needs root.\n"
	"\n"
	"  --all           all services that were enabled\n"
	"  --restart       restart what runs of them, now\n"
	"\n"
	"Example: profctl disable --restart redis-server\n";

enum { OPTION_RESTART = ARGS_FIRST, OPTION_ALL };

static const struct option options[] = {
	{"restart", no_argument, NULL, OPTION_RESTART},
	{"all", no_argument, NULL, OPTION_ALL},
	ARGS_COMMON,
};

/* Returns 0 or -errno, reported. */
static int remove_reported(const char *name)
{
	int r = dropin_remove(name);

	if (r == -ENOENT)
		output_error("%s: is not enabled; see \"profctl enabled\"", name);
	else if (r < 0)
		output_error("%s: " DROPIN_DIR "/%s.d/" DROPIN_NAME ": %s", name, name,
			     r == -EPERM ? "is not what profctl wrote: left as it is"
					 : strerror(-r));
	return r;
}

/* After systemd has read that it is gone. */
static int finish(const char *name, bool restart)
{
	_cleanup_free_ char *why = NULL;
	_cleanup_(unit_done) struct unit unit = {};
	bool template = unit_name_is_template(name), running = template;
	int r;

	if (!template && systemctl_is_there() && unit_load(name, &unit, &why) == 0)
		running = unit_is(&unit, "ActiveState", "active");
	if (running && restart) {
		r = enable_restart(name);
		if (r == 0)
			output_line("%s: disabled, restarted", name);
		return r;
	}
	if (template)
		output_line("%s: disabled, for instances that start from now on", name);
	else if (running)
		output_line("%s: disabled; it keeps the client until: systemctl restart %s", name,
			    name);
	else
		output_line("%s: disabled", name);
	return 0;
}

static int disable_all(bool restart)
{
	_cleanup_(dropin_list_done) struct dropin_list list = {};
	bool failed = false;
	int r;

	r = dropin_scan(&list);
	if (r < 0) {
		output_error(DROPIN_DIR ": %s", strerror(-r));
		return PROFCTL_FAILED;
	}
	for (size_t i = 0; i < list.n; i++) {
		if (remove_reported(list.units[i]) == 0)
			continue;
		failed = true;
		list.units[i][0] = '\0';
	}
	if (list.n > 0)
		failed |= enable_reload() < 0;
	for (size_t i = 0; i < list.n; i++)
		if (list.units[i][0] != '\0')
			failed |= finish(list.units[i], restart) < 0;
	return failed ? PROFCTL_FAILED : PROFCTL_DONE;
}

static int disable_units(bool restart, char **arguments, size_t n)
{
	struct named_unit *units = calloc(n, sizeof(*units));
	bool *removed = calloc(n, sizeof(*removed));
	bool failed = !units || !removed, any = false;

	for (size_t i = 0; units && removed && i < n; i++) {
		removed[i] = named_unit_load(arguments[i], &units[i]) == 0 &&
			     remove_reported(units[i].name) == 0;
		failed |= !removed[i];
		any |= removed[i];
	}
	if (any)
		failed |= enable_reload() < 0;
	for (size_t i = 0; any && i < n; i++)
		if (removed[i])
			failed |= finish(units[i].name, restart) < 0;
	for (size_t i = 0; units && i < n; i++)
		named_unit_done(&units[i]);
	free(units);
	free(removed);
	return failed ? PROFCTL_FAILED : PROFCTL_DONE;
}

static int disable_main(struct profctl *ctl, int argc, char **argv)
{
	bool restart = false, all = false;
	int value;

	args_start();
	while ((value = args_next(ctl, argc, argv, ":h", options)) >= 0) {
		restart |= value == OPTION_RESTART;
		all |= value == OPTION_ALL;
	}
	if (value != ARGS_END)
		return args_exit(value);
	if (all == (optind < argc)) {
		args_error(ctl, all ? "--all: and no unit beside it" : "no unit given");
		return PROFCTL_USAGE;
	}
	if (enable_check_root("disable") < 0)
		return PROFCTL_FAILED;
	return all ? disable_all(restart)
		   : disable_units(restart, argv + optind, (size_t)(argc - optind));
}

const struct profctl_command profctl_disable = {
	.name = "disable",
	.run = disable_main,
	.summary = "takes it away again",
	.help = help,
};
