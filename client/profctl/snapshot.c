#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/connect.h"
#include "client/profctl/output.h"
#include "client/profctl/save.h"
#include "client/profctl/series.h"
#include "client/profctl/url.h"
#include "profd/base.h"
#include "profd/limits.h"

static const char help[] =
	"Usage: profctl snapshot [OPTIONS]\n"
	"\n"
	"Takes profiles now, or one every so often, and prints each file's path as it\n"
	"appears, one a line.\n"
	"\n"
	"  --pid N, --comm NAME, --unit UNIT, --all\n"
	"                  whose profiles; all that you may see by default\n"
	"  --url URL       from that address instead: any pprof endpoint, Go's own included\n"
	"  --type TYPES    heap, cpu, offcpu, block, mutex, threadcreate, threads, trace, or\n"
	"                  several with commas; heap by default\n"
	"  --every D       go on, one snapshot every D (500ms 30s 5m 2h)\n"
	"  --count N       so many snapshots; without it, until interrupted\n"
	"  --seconds D     measure CPU and off-CPU time, block, mutex, trace from now, for D; the\n"
	"                  type is then cpu by default. All but CPU time are measured for 10s\n"
	"                  by default: nothing is before it is asked for (block and mutex of\n"
	"                  programs that have PROFD_BLOCK or PROFD_MUTEX set: since their start)\n"
	"  --output DIR    write the files there, not into profd's own directory\n"
	"  --no-trim       do not make targets release free memory first\n"
	"  -v, --verbose   show the trim lines, also where standard error is no terminal\n"
	"  --json          one object a file\n"
	"  --socket PATH   profd's socket\n"
	"\n"
	"Exit codes: 0 all written, 1 something is missing, 2 usage, 3 no daemon.\n"
	"\n"
	"Example: profctl snapshot --comm redis-server --every 30s --count 5\n";

enum {
	OPTION_PID = ARGS_FIRST,
	OPTION_COMM,
	OPTION_UNIT,
	OPTION_ALL,
	OPTION_TYPE,
	OPTION_EVERY,
	OPTION_COUNT,
	OPTION_SECONDS,
	OPTION_OUTPUT,
	OPTION_URL,
	OPTION_NO_TRIM,
};

static const struct option options[] = {
	{"pid", required_argument, NULL, OPTION_PID},
	{"comm", required_argument, NULL, OPTION_COMM},
	{"unit", required_argument, NULL, OPTION_UNIT},
	{"all", no_argument, NULL, OPTION_ALL},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"every", required_argument, NULL, OPTION_EVERY},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"output", required_argument, NULL, OPTION_OUTPUT},
	{"url", required_argument, NULL, OPTION_URL},
	{"no-trim", no_argument, NULL, OPTION_NO_TRIM},
	{"verbose", no_argument, NULL, 'v'},
	ARGS_COMMON,
};

static const char *const known_types[] = {"heap",  "cpu",	   "offcpu",  "block",
					  "mutex", "threadcreate", "threads", "trace"};

#define OFFCPU_DEFAULT_NS (10 * NSEC_PER_SEC)

struct snapshot {
	uint64_t pid, every_ns, count, seconds_ns;
	char *comm, *unit, *output;
	const char *url;		      /* NULL: from profd */
	char *types[ARRAY_SIZE(known_types)]; /* of known_types */
	size_t n_types;
	unsigned n_selections;
	bool no_trim, verbose;
};

static int add_type(struct snapshot *s, const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_types); i++) {
		bool have = false;

		if (strlen(known_types[i]) != n || strncmp(known_types[i], name, n) != 0)
			continue;
		for (size_t j = 0; j < s->n_types; j++)
			have = have || s->types[j] == known_types[i];
		if (!have)
			s->types[s->n_types++] = (char *)known_types[i];
		return 0;
	}
	output_error("--type: \"%.*s\" is no type of profile: write heap, cpu, offcpu, block, "
		     "mutex, threadcreate, threads or trace, or several with commas",
		     (int)n, name);
	return -EINVAL;
}

static int add_types(struct snapshot *s, const char *list)
{
	for (;;) {
		size_t n = strcspn(list, ",");
		int r;

		r = add_type(s, list, n);
		if (r < 0 || list[n] == '\0')
			return r;
		list += n + 1;
	}
}

/* Takes one option. Returns 0, or -EINVAL, reported. */
static int take_option(const struct profctl *ctl, struct snapshot *s, int value)
{
	switch (value) {
	case OPTION_PID:
		s->n_selections++;
		return args_number(ctl, "--pid", 1, INT32_MAX, &s->pid);
	case OPTION_COMM:
		s->n_selections++;
		s->comm = optarg;
		return 0;
	case OPTION_UNIT:
		s->n_selections++;
		s->unit = optarg;
		return 0;
	case OPTION_ALL:
		s->n_selections++;
		return 0;
	case OPTION_TYPE:
		return add_types(s, optarg);
	case OPTION_EVERY:
		return args_duration(ctl, "--every", 0, &s->every_ns);
	case OPTION_COUNT:
		return args_number(ctl, "--count", 1, PROFD_MAX_COUNT, &s->count);
	case OPTION_SECONDS:
		return args_duration(ctl, "--seconds", NSEC_PER_SEC, &s->seconds_ns);
	case OPTION_URL:
		s->url = optarg;
		return 0;
	case OPTION_OUTPUT:
		s->output = optarg;
		return 0;
	case OPTION_NO_TRIM:
		s->no_trim = true;
		return 0;
	default:
		s->verbose = true;
		return 0;
	}
}

static bool has_type(const struct snapshot *s, const char *type)
{
	for (size_t i = 0; i < s->n_types; i++)
		if (strcmp(s->types[i], type) == 0)
			return true;
	return false;
}

/* What does not go together, and defaults. */
static int complete(const struct profctl *ctl, struct snapshot *s)
{
	const char *what = NULL;

	if (s->url && (s->n_selections > 0 || s->n_types > 0 || s->seconds_ns > 0 || s->no_trim))
		what = "--url: says itself whose profile and which: as "
		       "http://HOST:PORT/debug/pprof/heap?gc=1";
	else if (s->url && strncmp(s->url, "http://", 7) != 0 &&
		 strncmp(s->url, "https://", 8) != 0)
		what = "--url: write http://HOST:PORT/debug/pprof/heap, or https";
	if (what) {
		args_error(ctl, "%s", what);
		return -EINVAL;
	}
	if (s->n_types == 0)
		(void)add_types(s, s->seconds_ns > 0 ? "cpu" : "heap");
	if (s->n_selections > 1)
		what = "--pid, --comm, --unit, --all: give one of them";
	else if ((s->comm && !*s->comm) || (s->unit && !*s->unit))
		what = "--comm, --unit: the name is empty";
	else if (s->count > 1 && s->every_ns == 0)
		what = "--count: needs --every D";
	else if (s->seconds_ns > 0 && !has_type(s, "cpu") && !has_type(s, "offcpu") &&
		 !has_type(s, "block") && !has_type(s, "mutex") && !has_type(s, "trace"))
		what = "--seconds: measures CPU or off-CPU time, block or mutex, or a trace, "
		       "which --type leaves out";
	if (s->seconds_ns == 0 && (has_type(s, "offcpu") || has_type(s, "trace")))
		s->seconds_ns = OFFCPU_DEFAULT_NS;
	if (!what)
		return 0;
	args_error(ctl, "%s", what);
	return -EINVAL;
}

/* Returns ARGS_END, ARGS_BAD or ARGS_HELP. */
static int parse(struct profctl *ctl, int argc, char **argv, struct snapshot *ret_snapshot)
{
	struct snapshot s = {};
	int value;

	args_start();
	for (;;) {
		value = args_next(ctl, argc, argv, ":hv", options);
		if (value == ARGS_END)
			break;
		if (value < 0)
			return value;
		if (take_option(ctl, &s, value) < 0)
			return ARGS_BAD;
	}
	if (optind < argc) {
		args_error(ctl, "%s: snapshot takes only options", argv[optind]);
		return ARGS_BAD;
	}
	if (complete(ctl, &s) < 0)
		return ARGS_BAD;
	*ret_snapshot = s;
	return ARGS_END;
}

static int ask(const struct snapshot *s, int fd)
{
	Profd__Snapshot verb = PROFD__SNAPSHOT__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	verb.types = (char **)s->types;
	verb.n_types = s->n_types;
	verb.pid = (uint32_t)s->pid;
	/* protobuf-c writes "" where there is nothing, and never through it. */
	if (s->comm)
		verb.comm = s->comm;
	if (s->unit)
		verb.unit = s->unit;
	verb.every_ns = s->every_ns;
	verb.count = (uint32_t)s->count;
	if (s->every_ns > 0 && s->count == 0)
		verb.count = PROFD_MAX_COUNT;
	verb.seconds_ns = s->seconds_ns;
	verb.no_trim = s->no_trim;
	verb.send_files = s->output != NULL;
	request.verb_case = PROFD__REQUEST__VERB_SNAPSHOT;
	request.snapshot = &verb;
	return connect_send(fd, &request);
}

static int follow_url(const struct profctl *ctl, const struct snapshot *s, int dir_fd)
{
	struct url_series series = {
		.ctl = ctl,
		.url = s->url,
		.dir = s->output,
		.dir_fd = dir_fd,
		.count = s->every_ns > 0 ? (uint32_t)s->count : 1,
		.every_ns = s->every_ns,
	};

	return url_follow(&series);
}

static int snapshot_main(struct profctl *ctl, int argc, char **argv)
{
	_cleanup_close_ int dir_fd = -1, fd = -1;
	struct snapshot s = {};
	struct series series;
	int value;

	value = parse(ctl, argc, argv, &s);
	if (value != ARGS_END)
		return args_exit(value);
	if (s.url && !s.output)
		s.output = (char *)".";
	if (s.output) {
		dir_fd = save_open_dir(s.output);
		if (dir_fd < 0) {
			output_error("%s: %s: name a directory that you can write to", s.output,
				     strerror(-dir_fd));
			return PROFCTL_FAILED;
		}
	}
	if (s.url)
		return follow_url(ctl, &s, dir_fd);
	fd = connect_open(ctl);
	if (fd < 0)
		return PROFCTL_NO_DAEMON;
	if (ask(&s, fd) < 0)
		return PROFCTL_FAILED;
	series = (struct series){
		.ctl = ctl,
		.dir = s.output,
		.dir_fd = dir_fd,
		.count = s.every_ns > 0 ? (uint32_t)s.count : 1,
		.every_ns = s.every_ns,
		.seconds_ns = s.seconds_ns,
		.verbose = s.verbose,
	};
	return series_follow(&series, fd);
}

const struct profctl_command profctl_snapshot = {
	.name = "snapshot",
	.run = snapshot_main,
	.summary = "takes profiles, once or every so often",
	.help = help,
};
