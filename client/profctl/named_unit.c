#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/enable.h"
#include "client/profctl/output.h"
#include "profd/base.h"

#define SUFFIX		".service"
#define TEMPLATE_SUFFIX "@.service"

static int complete_name(const char *argument, char **ret_name)
{
	_cleanup_free_ char *name = NULL;
	const char *dot = strrchr(argument, '.');
	/* "redis.conf" is a name, too: systemctl takes only known types for types. */
	static const char *const others[] = {".socket", ".target",   ".timer", ".path",
					     ".slice",	".scope",    ".mount", ".device",
					     ".swap",	".automount"};

	for (size_t i = 0; dot && i < ARRAY_SIZE(others); i++) {
		if (strcmp(dot, others[i]) == 0) {
			output_error(
				"%s: is not a service: only services have a program to profile",
				argument);
			return -EINVAL;
		}
	}
	if (asprintf(&name, "%s%s", argument, dot && strcmp(dot, SUFFIX) == 0 ? "" : SUFFIX) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	if (!unit_name_is_valid(name)) {
		output_error("%s: is not a unit's name", argument);
		return -EINVAL;
	}
	*ret_name = take_ptr(name);
	return 0;
}

/* Of "foo@.service" and "foo@one.service", when @template, is "foo@.service". */
static char *real_name(const char *id, bool template)
{
	const char *at = strchr(id, '@');
	char *name = NULL;

	if (!template || !at)
		return strdup(id);
	if (asprintf(&name, "%.*s" TEMPLATE_SUFFIX, (int)(at - id), id) < 0)
		name = NULL;
	return name;
}

static int load(const char *asked, struct named_unit *u)
{
	bool template = unit_name_is_template(asked);
	_cleanup_free_ char *why = NULL, *id = NULL;
	int r;

	if (asprintf(&u->probe, "%.*sprofd" SUFFIX, (int)(strlen(asked) - strlen(SUFFIX)), asked) <
	    0) {
		u->probe = NULL;
		return -ENOMEM;
	}
	if (!template)
		strcpy(u->probe, asked);
	r = unit_load(u->probe, &u->unit, &why);
	if (r < 0) {
		output_error("%s: %s", asked, why && *why ? why : strerror(-r));
		return r;
	}
	id = unit_value(&u->unit, "Id");
	u->name = real_name(id && unit_name_is_valid(id) ? id : asked, template);
	return u->name ? 0 : -ENOMEM;
}

int named_unit_load(const char *argument, struct named_unit *ret_unit)
{
	_cleanup_(named_unit_done) struct named_unit u = {};
	_cleanup_free_ char *asked = NULL;
	int r;

	r = complete_name(argument, &asked);
	if (r == 0 && systemctl_is_there())
		r = load(asked, &u);
	else if (r == 0)
		u.name = take_ptr(asked);
	if (r == -ENOMEM)
		output_error("%s: out of memory", argument);
	if (r < 0)
		return r;
	*ret_unit = u;
	u = (struct named_unit){};
	return 0;
}

void named_unit_done(struct named_unit *unit)
{
	free(unit->name);
	free(unit->probe);
	unit_done(&unit->unit);
}

int enable_reload(void)
{
	static const char *const args[] = {"daemon-reload", NULL};
	_cleanup_free_ char *why = NULL;
	int r;

	if (!systemctl_is_there())
		return 0;
	r = systemctl_run(args, &why);
	if (r < 0)
		output_error("systemctl daemon-reload: %s", why && *why ? why : strerror(-r));
	return r;
}

int enable_restart(const char *name)
{
	_cleanup_free_ char *why = NULL, *pattern = NULL;
	const char *args[] = {"try-restart", "--", name, NULL};
	int r;

	if (unit_name_is_template(name)) {
		if (asprintf(&pattern, "%.*s*" SUFFIX, (int)(strlen(name) - strlen(SUFFIX)), name) <
		    0) {
			pattern = NULL;
			return -ENOMEM;
		}
		args[2] = pattern;
	}
	r = systemctl_run(args, &why);
	if (r < 0)
		output_error("%s: it did not restart: %s", name, why && *why ? why : strerror(-r));
	return r;
}

int enable_check_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	output_error("%s: changing a unit needs root: run it with sudo", verb);
	return -EPERM;
}
