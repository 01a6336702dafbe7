#include "client/profctl/run_options.h"

#include <errno.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/expand.h"
#include "profd/base.h"

const char run_options_help[] =
	"Usage: profctl run [OPTIONS] -- COMMAND [ARGS..]\n"
	"\n"
	"Runs COMMAND under a profd of its own and leaves its CPU and heap profiles. Needs\n"
	"no daemon, no root and no set-up. Exits as COMMAND does (128+signal if killed).\n"
	"\n"
	"  --output DIR   write profiles into DIR; the current directory by default\n"
	"  --cpu FILE     write only what is named: the CPU profile to FILE\n"
	"  --heap FILE    and the heap profile to FILE\n"
	"  --offcpu FILE  and what its threads waited for, and how long, to FILE (as root)\n"
	"  --block FILE   and what its threads waited for one another for: locks, conditions\n"
	"  --mutex FILE   and which code held locks that others waited for\n"
	"                 %p is the process id, %h this machine, %t the moment; with %p in\n"
	"                 --heap, --block, --mutex, every process that COMMAND started gets its "
	"file\n"
	"  --children     --heap FILE is the sum of COMMAND and all that it starts\n"
	"  --no-children  --cpu and --heap are of COMMAND alone\n"
	"  --http ADDRESS serve the profiles while it runs, as Go's net/http/pprof does:\n"
	"                 127.0.0.1:6060, or the path of a UNIX socket\n"
	"  --every D      also every D while it runs (500ms 30s 5m 2h)\n"
	"  -F HZ          CPU samples a second; 99 by default\n"
	"  -e, --event E  what CPU samples count: cycles (the default), cpu-clock, page-faults,\n"
	"                 context-switches, sched:sched_switch .. as libpfm4 names it; with\n"
	"                 :period=N every Nth, else -F of them a second. timers: CPU time, by\n"
	"                 the program's own timers; so too where perf events are not allowed\n"
	"  --rate BYTES   mean bytes between heap samples; 524288 by default\n"
	"\n"
	"Where no option can be given: PROFD_RUN_CPU, PROFD_RUN_HEAP and PROFD_RUN_HTTP in the\n"
	"environment stand for --cpu, --heap and --http, PROFD_RUN_CHILDREN=1 or 0 for\n"
	"--children and --no-children. What is on the command line goes before.\n"
	"\n"
	"Example: profctl run --heap heap.pb.gz -- ./server --port 8080\n";

#define RUN_MAX_HZ 100000
#define RUN_TIMERS "timers"

enum {
	OPTION_OUTPUT = ARGS_FIRST,
	OPTION_CPU,
	OPTION_HEAP,
	OPTION_OFFCPU,
	OPTION_BLOCK,
	OPTION_MUTEX,
	OPTION_EVERY,
	OPTION_RATE,
	OPTION_HTTP,
	OPTION_CHILDREN,
	OPTION_NO_CHILDREN,
};

static const struct option options[] = {
	{"output", required_argument, NULL, OPTION_OUTPUT},
	{"cpu", required_argument, NULL, OPTION_CPU},
	{"heap", required_argument, NULL, OPTION_HEAP},
	{"offcpu", required_argument, NULL, OPTION_OFFCPU},
	{"block", required_argument, NULL, OPTION_BLOCK},
	{"mutex", required_argument, NULL, OPTION_MUTEX},
	{"every", required_argument, NULL, OPTION_EVERY},
	{"frequency", required_argument, NULL, 'F'},
	{"event", required_argument, NULL, 'e'},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"http", required_argument, NULL, OPTION_HTTP},
	{"children", no_argument, NULL, OPTION_CHILDREN},
	{"no-children", no_argument, NULL, OPTION_NO_CHILDREN},
	ARGS_COMMON,
};

static int take_option(const struct profctl *ctl, struct run_options *o, int value)
{
	switch (value) {
	case OPTION_OUTPUT:
		o->output = optarg;
		return 0;
	case OPTION_CPU:
		o->cpu = optarg;
		return 0;
	case OPTION_HEAP:
		o->heap = optarg;
		return 0;
	case OPTION_OFFCPU:
		o->offcpu = optarg;
		return 0;
	case OPTION_BLOCK:
		o->block = optarg;
		return 0;
	case OPTION_MUTEX:
		o->mutex = optarg;
		return 0;
	case OPTION_CHILDREN:
		o->children = CHILDREN_IN;
		return 0;
	case OPTION_NO_CHILDREN:
		o->children = CHILDREN_OUT;
		return 0;
	case OPTION_HTTP:
		o->http = optarg;
		return 0;
	case OPTION_EVERY:
		return args_duration(ctl, "--every", 0, &o->every_ns);
	case 'e':
		o->event = optarg;
		return 0;
	case OPTION_RATE:
		return args_number(ctl, "--rate", 1, INT64_MAX, &o->rate_bytes);
	default:
		return args_number(ctl, "-F", 1, RUN_MAX_HZ, &o->frequency_hz);
	}
}

static bool is_overwritten(const struct run_options *o, const char *name)
{
	return name && o->every_ns > 0 && !expand_has(name, 't');
}

static bool is_bad(const char *name)
{
	const struct expand values = {.host = ""};
	_cleanup_free_ char *expanded = NULL;

	return name && (!*name || expand_name(name, &values, &expanded) < 0);
}

static bool names_files(const struct run_options *o)
{
	return o->cpu || o->heap || o->offcpu || o->block || o->mutex;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void take_environment(struct run_options *o)
{
	const char *children = environment("PROFD_RUN_CHILDREN");

	if (!o->output && !names_files(o)) {
		o->cpu = environment("PROFD_RUN_CPU");
		o->heap = environment("PROFD_RUN_HEAP");
	}
	if (!o->http)
		o->http = environment("PROFD_RUN_HTTP");
	if (o->children == CHILDREN_UNSAID && children && (o->cpu || o->heap))
		o->children = strcmp(children, "0") == 0 ? CHILDREN_OUT : CHILDREN_IN;
}

static int complete(const struct profctl *ctl, struct run_options *o)
{
	const char *what = NULL;

	take_environment(o);

	if (ctl->socket || ctl->json)
		what = "--socket, --json: run has a profd of its own, and its output is the "
		       "command's";
	else if (o->output && names_files(o))
		what = "--output: does not go with --cpu, --heap, --offcpu, --block and --mutex";
	else if (!o->argv[0] || !*o->argv[0])
		what = "no command to run";
	else if (is_bad(o->cpu) || is_bad(o->heap) || is_bad(o->offcpu) || is_bad(o->block) ||
		 is_bad(o->mutex))
		what = "--cpu, --heap, --offcpu, --block, --mutex: in a name, write %p, %h, %t, or "
		       "%% for a percent "
		       "sign";
	else if (o->event && strcmp(o->event, RUN_TIMERS) == 0 &&
		 o->frequency_hz > RUN_TIMERS_MAX_HZ)
		what = "-F: the programs' own timers give at most 1000 samples a second";
	else if (o->children != CHILDREN_UNSAID && !o->cpu && !o->heap)
		what = "--children, --no-children: go with --cpu and --heap";
	else if (o->children == CHILDREN_IN && o->every_ns > 0)
		what = "--children: the sum is written at the end only";
	else if (o->children == CHILDREN_IN && o->heap && expand_has(o->heap, 'p'))
		what = "--children: with %p in its name, --heap is a file for each process";
	else if (is_overwritten(o, o->cpu) || is_overwritten(o, o->heap))
		what = "--every: needs %t in the names given to --cpu and --heap";
	else if (o->every_ns > 0 && names_files(o) && !o->cpu && !o->heap)
		what = "--every: off-CPU, block and mutex profiles are written at the end only";
	if (what) {
		args_error(ctl, "%s", what);
		return -EINVAL;
	}
	if (o->event && strcmp(o->event, RUN_TIMERS) == 0) {
		o->timers = true;
		o->event = NULL; /* profd knows of none */
	}
	if (!names_files(o) && !o->output)
		o->output = ".";
	return 0;
}

int run_options_parse(struct profctl *ctl, int argc, char **argv, struct run_options *ret_options)
{
	struct run_options o = {};
	int value;

	args_start();
	for (;;) {
		value = args_next(ctl, argc, argv, "+:hF:e:", options);
		if (value == ARGS_END)
			break;
		if (value < 0)
			return value;
		if (take_option(ctl, &o, value) < 0)
			return ARGS_BAD;
	}
	o.argv = argv + optind;
	if (complete(ctl, &o) < 0)
		return ARGS_BAD;
	*ret_options = o;
	return ARGS_END;
}
