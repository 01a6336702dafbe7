/*
 * profd: arguments, then one of its roles: keeper, engine, scribe. Started as root it is
 * the keeper, which starts the engine; one command's own daemon, and one that is not
 * root's, is an engine that keeps for itself. The only file of the daemon that prints.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "daemon/config_files.h"
#include "daemon/engine.h"
#include "daemon/keeper/confine.h"
#include "daemon/keeper/guard.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"
#include "daemon/scribe/scribe.h"
#include "daemon/symbolize_file.h"
#include "profd/base.h"

#define SCRIBE_SOCKET 3

enum { EXIT_USAGE = 2 };

static const char help[] =
	"profd: profiles the CPU and the heap of native programs, as pprof files\n"
	"\n"
	"  --config FILE        settings, with those in FILE.d/*.conf (default " CONFIG_FILE ",\n"
	"                       and profd.conf.d/*.conf in /usr/lib, /run and /etc)\n"
	"  --state-dir DIR      where profiles are kept (default /var/lib/profd)\n"
	"  --runtime-dir DIR    where the socket is (default /run/profd)\n"
	"  --frequency HZ       CPU samples a second and CPU (default 99)\n"
	"  --event EVENT        what to sample, as libpfm4 names it, or a tracepoint\n"
	"                       (default cycles, or cpu-clock where there is no hardware\n"
	"                       counter)\n"
	"  --ring BYTES         of samples that each CPU may have waiting (default 2M)\n"
	"  --rotate DURATION    write all profiles so often (default 60s; 0: on request only)\n"
	"  --debug-dir DIR      look for debug files here first, then in /usr/lib/debug and\n"
	"                       /usr/local/lib/debug (as often as needed)\n"
	"  --user NAME|UID:GID  who the part is that parses what programs give it, if root\n"
	"                       starts profd (default profd)\n"
	"  --foreground         does nothing: profd always stays in the foreground\n"
	"  --version, --help\n"
	"\n"
	"profctl talks to it: see `profctl --help`.\n";

enum option_id {
	OPT_CONFIG = 256,
	OPT_SETTING,
	OPT_FOREGROUND,
	OPT_USER,
	OPT_ENGINE,
	OPT_SHELF,
	OPT_PRIVATE,
	OPT_READY_FD,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"state-dir", required_argument, NULL, OPT_SETTING},
	{"runtime-dir", required_argument, NULL, OPT_SETTING},
	{"frequency", required_argument, NULL, OPT_SETTING},
	{"event", required_argument, NULL, OPT_SETTING},
	{"ring", required_argument, NULL, OPT_SETTING},
	{"rotate", required_argument, NULL, OPT_SETTING},
	{"debug-dir", required_argument, NULL, OPT_SETTING},
	{"foreground", no_argument, NULL, OPT_FOREGROUND},
	{"user", required_argument, NULL, OPT_USER},
	{"engine", required_argument, NULL, OPT_ENGINE},
	{"shelf", required_argument, NULL, OPT_SHELF},
	{"private", no_argument, NULL, OPT_PRIVATE},
	{"ready-fd", required_argument, NULL, OPT_READY_FD},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{},
};

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "profd: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

/* What a file says that is not understood is told, and the rest holds. */
static void say_line(const char *line, void *userdata)
{
	fprintf(stderr, "profd: %s: ignored\n", line);
}

/* The files come before the options, wherever --config stands among them. */
static int read_config(struct config *c, int argc, char **argv)
{
	const char *path = NULL;
	int o, r;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (o == OPT_CONFIG)
			path = optarg;
	optind = 0;
	opterr = 1;
	c->file = path ? strdup(path) : NULL;
	r = path && !c->file ? -ENOMEM : config_load(c, "", say_line, NULL);
	if (r < 0)
		complain(path ?: CONFIG_FILE, strerror(-r));
	return r;
}

static int set_option(struct config *c, const char *name, const char *value)
{
	const char *form;
	int r = config_override(c, name, value, &form);

	if (r < 0)
		fprintf(stderr, "profd: --%s %s: not understood: %s\n", name, value, form);
	return r < 0 ? EXIT_USAGE : -1;
}

/* How this process was started, beside its settings. */
struct start {
	const char *user; /* NULL: none was named */
	int keeper_fd;	  /* of an engine, its keeper's socket; else -1 */
	int shelf_fd;	  /* likewise, its starter's */
	char **argv;
};

/* Returns an exit code, or -1 to go on. */
static int read_options(struct config *c, struct start *start, int argc, char **argv)
{
	int o, at, r;

	while ((o = getopt_long(argc, argv, "", options, &at)) >= 0) {
		switch (o) {
		case OPT_CONFIG:
		case OPT_FOREGROUND:
			break;
		case OPT_SETTING:
			r = set_option(c, options[at].name, optarg);
			if (r >= 0)
				return r;
			break;
		case OPT_USER:
			start->user = optarg;
			break;
		case OPT_ENGINE:
			start->keeper_fd = atoi(optarg);
			break;
		case OPT_SHELF:
			start->shelf_fd = atoi(optarg);
			break;
		case OPT_PRIVATE:
			c->private = true;
			break;
		case OPT_READY_FD:
			c->ready_fd = atoi(optarg);
			break;
		case OPT_VERSION:
			puts("profd " PROFD_VERSION);
			return EXIT_SUCCESS;
		case OPT_HELP:
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("profd: see `profd --help`\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "profd: %s: takes no arguments, only options\n", argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static void tell_ready(struct config *c, const struct engine *engine)
{
	char line[NOTIFY_STATUS_BYTES];

	engine_describe(engine, line, sizeof(line));
	if (!c->private)
		notify_ready(line);
	if (c->ready_fd >= 0) {
		(void)!write(c->ready_fd, "1", 1);
		close(take_fd(&c->ready_fd));
	}
}

static int run_engine(struct config *c, struct keeper *keeper, int shelf_fd)
{
	struct engine *engine = NULL;
	char why[600];
	int r = engine_new(c, keeper, shelf_fd, &engine, why, sizeof(why));

	if (r < 0) {
		fprintf(stderr, "profd: %s\n", why);
		return EXIT_FAILURE;
	}
	tell_ready(c, engine);
	r = engine_run(engine);
	if (!c->private)
		notify_stopping();
	engine_free(engine);
	if (r == -ECONNRESET)
		return complain("the keeper has gone", "the engine ends");
	return r < 0 ? complain("event loop", strerror(-r)) : EXIT_SUCCESS;
}

/* ---- with a keeper */

static int inherit(int fd)
{
	return fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -EBADF : 0;
}

static int run_kept_engine(struct config *c, const struct start *start)
{
	struct keeper *keeper;
	int r;

	prctl(PR_SET_NAME, "profd-engine", 0, 0, 0); /* else what it was executed as: exe */
	r = inherit(start->keeper_fd);
	if (r == 0)
		r = inherit(start->shelf_fd);
	if (r == 0)
		r = confine_engine_calls();
	if (r == 0)
		r = keeper_new_remote(start->keeper_fd, &keeper);
	return r < 0 ? complain("engine", strerror(-r)) : run_engine(c, keeper, start->shelf_fd);
}

static void say(const char *line)
{
	fprintf(stderr, "profd: %s\n", line);
}

static void say_notes(const char *notes)
{
	for (const char *end; *notes; notes = end + (*end == '\n')) {
		end = strchrnul(notes, '\n');
		fprintf(stderr, "profd: %.*s\n", (int)(end - notes), notes);
	}
}

/* Standard streams that are closed would be given to files that the keeper opens. */
static bool has_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
	profd_closep(&fd);
	return fd > STDERR_FILENO;
}

/* Of all settings the keeper has only these. What is wrong with them the engine says. */
static void reload_keeper(struct keeper *keeper, void *userdata)
{
	struct config next;
	char why[PROFD_MAX_PATH + 512];

	if (config_reload(userdata, "", &next, why, sizeof(why)) < 0)
		return;
	keeper_forget_debug_dirs(keeper);
	/* Each is put before the others. */
	for (unsigned i = next.n_debug_dirs; i > 0; i--)
		(void)keeper_add_debug_dir(keeper, next.debug_dirs[i - 1]);
	config_done(&next);
}

static int run_keeper(struct config *c, const struct start *start)
{
	struct guard_config config = {
		.engine = {.argv = start->argv},
		.debug_dirs = c->debug_dirs,
		.n_debug_dirs = c->n_debug_dirs,
		.say = say,
		.reload = reload_keeper,
		.userdata = c,
	};
	struct engine_user user = {0};
	struct guard *guard;
	char why[600];
	int r;

	if (!has_streams())
		return EXIT_FAILURE;
	r = privilege_find_user(start->user, &user, why, sizeof(why));
	if (r >= 0)
		r = privilege_give_directory(c->state_dir, 0750, &user, why, sizeof(why));
	/* a socket that was passed on lies where it lies */
	if (r >= 0 && !getenv("LISTEN_FDS"))
		r = privilege_give_directory(c->runtime_dir, 0755, &user, why, sizeof(why));
	config.engine.uid = user.uid;
	config.engine.gid = user.gid;
	if (r >= 0)
		r = guard_new(&config, &guard, why, sizeof(why));
	if (r < 0) {
		fprintf(stderr, "profd: %s\n", why);
		return EXIT_FAILURE;
	}
	say_notes(guard_notes(guard));
	r = guard_run(guard);
	guard_free(guard);
	return r;
}

/* A keeper if there is something to keep, and somebody to keep it from. */
static int run(struct config *c, const struct start *start)
{
	struct keeper *keeper;
	int r;

	if (start->keeper_fd >= 0)
		return run_kept_engine(c, start);
	if (geteuid() == 0 && !c->private)
		return run_keeper(c, start);
	r = keeper_new_local(&keeper);
	return r < 0 ? complain("keeper", strerror(-r)) : run_engine(c, keeper, -1);
}

/* For `profctl symbolize`: a filter, which says on standard error what became of the
 * locations, and then which build-ids' debug files it lacked, or what went wrong. */
static int symbolize(char **dirs, int n_dirs)
{
	struct symbolize_file_counts counts;
	int r = symbolize_file(STDIN_FILENO, STDOUT_FILENO, dirs, (size_t)n_dirs, &counts);

	if (r < 0)
		fprintf(stderr, "%s\n", r == -EBADMSG ? "not a profile" : strerror(-r));
	else
		fprintf(stderr, "%u %u %u %u\n", counts.locations, counts.named, counts.mappings,
			counts.found);
	for (size_t i = 0; r == 0 && i < counts.n_lacking; i++)
		fprintf(stderr, "%s\n", counts.lacking[i]);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Descriptors are passed to one process. The environment that says so is inherited by
 * all that it starts, a shell and a profd in it, say, where 3 and on are other files. */
static void forget_what_is_not_for_us(void)
{
	const char *pid = getenv("LISTEN_PID");

	if (pid && atoi(pid) == getpid())
		return;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int main(int argc, char **argv)
{
	_cleanup_(config_done) struct config config = {.ready_fd = -1};
	struct start start = {.keeper_fd = -1, .shelf_fd = -1, .argv = argv};
	int code;

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0) {
		prctl(PR_SET_NAME, "profd-scribe", 0, 0, 0);
		return scribe_main(SCRIBE_SOCKET);
	}
	if (argc >= 2 && strcmp(argv[1], "--symbolize") == 0)
		return symbolize(argv + 2, argc - 2);
	forget_what_is_not_for_us();
	config_init(&config);
	code = read_config(&config, argc, argv) < 0 ? EXIT_FAILURE : -1;
	if (code < 0)
		code = read_options(&config, &start, argc, argv);
	return code >= 0 ? code : run(&config, &start);
}
