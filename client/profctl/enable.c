/*
 * `profctl enable`: the client under a systemd service, by a drop-in that sets
 * LD_PRELOAD.
 *
 * A drop-in's Environment= replaces a variable of the same name, so what the unit has
 * in LD_PRELOAD goes into ours, behind the client: what comes before it would hide
 * its malloc. (AddressSanitizer alone insists on being first, and is let.)
 *
 * All units are looked at and written, then systemd reads them once, then each is
 * looked at again: whatever else could have the last word on the variable, a drop-in
 * whose name comes later above all, is found by its effect, and ours is taken back.
 */
#include "client/profctl/enable.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/profctl/args.h"
#include "client/profctl/dropin.h"
#include "client/profctl/helper.h"
#include "client/profctl/obstacles.h"
#include "client/profctl/output.h"
#include "profd/base.h"

static const char help[] =
	"Usage: profctl enable [--restart] [--force] UNIT...\n"
	"\n"
	"Puts the heap client under systemd services, by a drop-in that sets LD_PRELOAD\n"
	"(/etc/systemd/system/UNIT.d/" DROPIN_NAME ") and changes nothing else. A service has\n"
	"the client from its next start on. A template's drop-in is for all its instances.\n"
	"Needs root.\n"
	"\n"
	"  --restart       restart what runs of them, now\n"
	"  --force         also where the unit's settings keep the client from working\n"
	"\n"
	"Example: profctl enable --restart redis-server\n";

enum { OPTION_RESTART = ARGS_FIRST, OPTION_FORCE, OPTION_USER };

static const struct option options[] = {
	{"restart", no_argument, NULL, OPTION_RESTART},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"user", no_argument, NULL, OPTION_USER}, /* as systemctl has it: it is asked for */
	ARGS_COMMON,
};

struct job {
	struct named_unit unit;
	bool written;
	char *others, *preload; /* LD_PRELOAD without and with the client */
};

static void job_done(struct job *job)
{
	named_unit_done(&job->unit);
	free(job->others);
	free(job->preload);
}

struct enable {
	bool restart, force;
	char library[PATH_MAX];
	char *manager_preload; /* LD_PRELOAD that systemd gives to every service; may be NULL */
};

/* What root's services load must be root's, all the way down. */
static int check_owner(const char *library)
{
	_cleanup_free_ char *path = strdup(library);
	struct stat st;
	char *slash;

	if (!path)
		return -ENOMEM;
	for (;;) {
		const char *at = *path ? path : "/";

		if (stat(at, &st) < 0)
			return -errno;
		if (st.st_uid != 0 || ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))) {
			output_error("%s: others than root could change it: services must not "
				     "load it; install profd",
				     at);
			return -EPERM;
		}
		slash = strrchr(path, '/');
		if (!slash || !*path)
			return 0;
		*slash = '\0';
	}
}

static int find_library(struct enable *e)
{
	_cleanup_free_ char *path = NULL;

	if (helper_find("libprofd.so", &path) < 0)
		return -ENOENT;
	snprintf(e->library, sizeof(e->library), "%s", path);
	if (strpbrk(e->library, " :")) {
		output_error("%s: LD_PRELOAD cannot say a path with a space or a colon",
			     e->library);
		return -EINVAL;
	}
	return check_owner(e->library);
}

static char *manager_preload(void)
{
	static const char *const args[] = {"show", "--property=Environment", "--value", NULL};
	_cleanup_free_ char *output = NULL;

	if (systemctl_run(args, &output) < 0)
		return NULL;
	output[strcspn(output, "\n")] = '\0';
	return unit_variable(output, "LD_PRELOAD");
}

/* LD_PRELOAD as the service would have it. NULL: it has none. */
static char *preload_of(const struct enable *e, const struct unit *unit)
{
	_cleanup_free_ char *list = unit_value(unit, "Environment");
	char *value = list ? unit_variable(list, "LD_PRELOAD") : NULL;

	if (!value && e->manager_preload)
		value = strdup(e->manager_preload);
	return value;
}

/* Whether @library is one of those in @preload. */
static bool has_library(const char *preload, const char *library)
{
	size_t n = strlen(library);

	for (const char *at = preload; at && *at; at += strcspn(at, " :")) {
		at += strspn(at, " :");
		if (strncmp(at, library, n) == 0 && (at[n] == '\0' || strchr(" :", at[n])))
			return true;
	}
	return false;
}

static int join(const char *library, const char *others, char **ret_preload)
{
	const char *base = others ? strrchr(others, '/') : NULL;
	bool last = others && strncmp(base ? base + 1 : others, "libasan.", 8) == 0;
	int n;

	if (!others || !*others)
		n = asprintf(ret_preload, "%s", library);
	else
		n = asprintf(ret_preload, "%s:%s", last ? others : library,
			     last ? library : others);
	return n < 0 ? -ENOMEM : 0;
}

/* Whether there is such a service, to which a drop-in can be written. */
static bool can_have_one(const struct named_unit *u)
{
	_cleanup_free_ char *state = unit_value(&u->unit, "LoadState");
	const char *why = NULL;

	if (!state || strcmp(state, "not-found") == 0)
		why = "there is no such service; see \"systemctl list-units --type service\"";
	else if (strcmp(state, "masked") == 0)
		why = "is masked: it cannot be started";
	else if (strcmp(state, "loaded") != 0)
		why = "systemd cannot load it; see \"systemctl status\"";
	else if (unit_is(&u->unit, "Transient", "yes"))
		why = "is transient: it is gone when it ends; give LD_PRELOAD to systemd-run";
	else if (strcmp(u->name, "profd.service") == 0)
		why = "does not profile its own heap";
	if (why)
		output_error("%s: %s", u->name, why);
	return !why;
}

/* Says what is in the way. Returns whether to go on. */
static bool may_go_on(const struct enable *e, const struct named_unit *u)
{
	_cleanup_(obstacles_done) struct obstacles found = {};
	bool prevented = false;

	if (obstacles_find(&u->unit, e->library, &found) < 0) {
		output_error("%s: out of memory", u->name);
		return false;
	}
	for (size_t i = 0; i < found.n; i++) {
		output_error("%s: %s", u->name, found.list[i].text);
		prevented |= found.list[i].prevents;
	}
	if (prevented && !e->force)
		output_error("%s: not enabled, nothing was changed; --force does it all the same",
			     u->name);
	return !prevented || e->force;
}

/* Whether @name is an instance of a template that is enabled. */
static bool template_has_one(const char *name)
{
	_cleanup_free_ char *template = NULL;
	const char *at = strchr(name, '@');

	if (!at || asprintf(&template, "%.*s@.service", (int)(at - name), name) < 0) {
		template = NULL;
		return false;
	}
	return dropin_look(template) == DROPIN_OURS;
}

static const char *why_not(int r)
{
	if (r == -EINVAL)
		return "its LD_PRELOAD has control characters";
	if (r == -ELOOP || r == -ENOTDIR)
		return "its directory of drop-ins is a link, or no directory";
	return strerror(-r);
}

static int write_dropin(const struct enable *e, struct job *job)
{
	const char *name = job->unit.name;
	int r;

	job->others = preload_of(e, &job->unit.unit);
	if (has_library(job->others, e->library)) {
		output_line("%s: has the client already, by %s: left as it is", name,
			    template_has_one(name) ? "its template" : "other means than profctl's");
		return 0;
	}
	if (!may_go_on(e, &job->unit))
		return -ECANCELED;
	r = join(e->library, job->others, &job->preload);
	if (r == 0)
		r = dropin_write(name, job->preload);
	if (r < 0) {
		output_error("%s: " DROPIN_DIR "/%s.d: %s", name, name, why_not(r));
		return r;
	}
	job->written = true;
	return 0;
}

/* Returns 0 or -errno, reported. */
static int prepare(const struct enable *e, const char *argument, struct job *job)
{
	int r;

	r = named_unit_load(argument, &job->unit);
	if (r < 0)
		return r;
	if (!can_have_one(&job->unit))
		return -ENOENT;
	r = dropin_look(job->unit.name);
	if (r == DROPIN_NONE)
		return write_dropin(e, job);
	if (r == DROPIN_OURS) {
		output_line("%s: is enabled already", job->unit.name);
		return 0;
	}
	output_error("%s: " DROPIN_DIR "/%s.d/" DROPIN_NAME ": %s", job->unit.name, job->unit.name,
		     r < 0 ? why_not(r) : "is somebody else's: move it away");
	return r < 0 ? r : -EEXIST;
}

/* After systemd has read it. Returns 0, or -errno, reported, and the drop-in is gone. */
static int verify(const struct enable *e, struct job *job, bool *ret_running)
{
	_cleanup_(unit_done) struct unit now = {};
	_cleanup_free_ char *why = NULL, *list = NULL, *preload = NULL;
	int r;

	r = unit_load(job->unit.probe, &now, &why);
	if (r == 0) {
		list = unit_value(&now, "Environment");
		preload = list ? unit_variable(list, "LD_PRELOAD") : NULL;
		if (!has_library(preload, e->library))
			r = -EBUSY;
	}
	if (r < 0) {
		(void)dropin_remove(job->unit.name);
		output_error("%s: %s", job->unit.name,
			     r == -EBUSY ? "another drop-in sets LD_PRELOAD after " DROPIN_NAME
					   ": add the client there; nothing was changed"
			     : why && *why ? why
					   : strerror(-r));
		return r;
	}
	*ret_running = unit_is(&now, "ActiveState", "active") ||
		       unit_is(&now, "ActiveState", "activating") ||
		       unit_is(&now, "ActiveState", "reloading");
	return 0;
}

/* Returns 0 or -errno, reported. */
static int finish(const struct enable *e, struct job *job)
{
	const char *name = job->unit.name;
	bool running = false;
	int r;

	r = verify(e, job, &running);
	if (r < 0)
		return r;
	if (job->others && *job->others)
		output_line("%s: LD_PRELOAD was \"%s\" and becomes \"%s\"", name, job->others,
			    job->preload);
	if (unit_name_is_template(name))
		output_line("%s: enabled, for instances that start from now on", name);
	else if (!running)
		output_line("%s: enabled; it does not run now", name);
	else if (!e->restart)
		output_line("%s: enabled, from its next start on: systemctl restart %s", name,
			    name);
	if (!e->restart || (!running && !unit_name_is_template(name)))
		return 0;
	r = enable_restart(name);
	if (r == 0)
		output_line("%s: enabled, restarted", name);
	return r;
}

static int enable_units(const struct enable *e, char **units, size_t n)
{
	struct job *jobs = calloc(n, sizeof(*jobs));
	bool failed = false, written = false;

	if (!jobs)
		return PROFCTL_FAILED;
	for (size_t i = 0; i < n; i++) {
		failed |= prepare(e, units[i], &jobs[i]) < 0;
		written |= jobs[i].written;
	}
	if (written && enable_reload() < 0) {
		failed = true;
		for (size_t i = 0; i < n; i++)
			if (jobs[i].written)
				(void)dropin_remove(jobs[i].unit.name);
	} else {
		bool taken_back = false;

		for (size_t i = 0; i < n; i++)
			if (jobs[i].written && finish(e, &jobs[i]) < 0)
				failed = taken_back = true;
		if (taken_back)
			(void)enable_reload();
	}
	for (size_t i = 0; i < n; i++)
		job_done(&jobs[i]);
	free(jobs);
	return failed ? PROFCTL_FAILED : PROFCTL_DONE;
}

static int enable_main(struct profctl *ctl, int argc, char **argv)
{
	struct enable e = {};
	int value, code;

	args_start();
	while ((value = args_next(ctl, argc, argv, ":h", options)) >= 0) {
		e.restart |= value == OPTION_RESTART;
		e.force |= value == OPTION_FORCE;
		if (value == OPTION_USER) {
			output_error("--user: a user's own services are that user's to change: "
				     "systemctl --user edit UNIT, and under [Service]: "
				     "Environment=LD_PRELOAD=/usr/lib/profd/libprofd.so");
			return PROFCTL_USAGE;
		}
	}
	if (value != ARGS_END)
		return args_exit(value);
	if (optind == argc) {
		args_error(ctl, "no unit given");
		return PROFCTL_USAGE;
	}
	if (enable_check_root("enable") < 0)
		return PROFCTL_FAILED;
	if (!systemctl_is_there()) {
		_cleanup_free_ char *client = helper_name_client();

		output_error("enable: systemd does not run here: start programs with LD_PRELOAD=%s",
			     client ?: "libprofd.so");
		return PROFCTL_FAILED;
	}
	if (find_library(&e) < 0)
		return PROFCTL_FAILED;
	e.manager_preload = manager_preload();
	code = enable_units(&e, argv + optind, (size_t)(argc - optind));
	free(e.manager_preload);
	return code;
}

const struct profctl_command profctl_enable = {
	.name = "enable",
	.run = enable_main,
	.summary = "puts the heap client under systemd services",
	.help = help,
};
