/*
 * profctl run: a private profd, the command under it, and the profiles at its
 * end. To the outside profctl behaves as the command would.
 *
 *     profd starts -> command forks, waits -> Watch .. Done -> it execs ->
 *     it ends -> Finish .. File, File, Done -> connection closed -> profd ends
 *
 * Signals are handled as a shell handles them for a command in the foreground.
 * Those of the terminal go to the command anyhow, and profctl lives on to fetch
 * the profiles; those that a process sends to profctl are handed on. A signal
 * that comes before the command runs, or while profiles are being written after
 * its end, stops profctl.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/command.h"
#include "client/profctl/connect.h"
#include "client/profctl/deliver.h"
#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "client/profctl/private.h"
#include "client/profctl/run_options.h"
#include "client/profctl/save.h"
#include "client/profctl/signals.h"
#include "client/profctl/watch.h"
#include "profd/base.h"
#include "profd/limits.h"
#include "proto/control.h"

#define RUN_HTTP_START_MS 10000

struct run {
	const struct run_options *options;
	sigset_t mask; /* before ours, and SIGPIPE's disposition: the command's */
	void (*sigpipe)(int);
	int signals_fd;
	struct watch watch;
	int periodic_fd; /* for --every; -1: not yet, or no more */
	uint64_t periodic_due_ns;
	struct private_daemon daemon;
	pid_t http; /* 0: none */
	struct command command;
	struct deliver deliver;
};

static int check_output(const struct run *run)
{
	_cleanup_close_ int fd = -1;

	if (!run->options->output)
		return 0;
	fd = save_open_dir(run->options->output);
	if (fd < 0)
		output_error("%s: %s: name a directory that you can write to", run->options->output,
			     strerror(-fd));
	return fd < 0 ? fd : 0;
}

static int fork_command(struct run *run, const char *library)
{
	struct command_options how = {
		.argv = run->options->argv,
		.preload = library,
		.heap = deliver_wants_client(&run->deliver) || run->options->http,
		.block = run->options->block != NULL,
		.mutex = run->options->mutex != NULL,
		.socket = run->daemon.socket,
		.rate_bytes = run->options->rate_bytes,
		.mask = &run->mask,
		.sigpipe = run->sigpipe,
	};
	int r;

	r = command_start(&how, &run->command);
	if (r < 0) {
		output_error("%s: %s", run->options->argv[0], strerror(-r));
		return r;
	}
	run->deliver.pid = run->command.pid;
	return deliver_check(&run->deliver);
}

/* Asks for the series of --every. Its first moment is D from the start, for at
 * the start there is nothing to show. */
static void start_periodic(struct run *run)
{
	char *types[2];
	Profd__Snapshot verb = PROFD__SNAPSHOT__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;

	run->periodic_due_ns = 0;
	run->periodic_fd = control_connect(run->daemon.socket);
	if (run->periodic_fd < 0) {
		output_error("--every: %s: there will be no profiles before the end",
			     strerror(-run->periodic_fd));
		return;
	}
	verb.types = types;
	if (deliver_wants_heap(&run->deliver))
		types[verb.n_types++] = (char *)"heap";
	if (deliver_wants_cpu(&run->deliver))
		types[verb.n_types++] = (char *)"cpu";
	verb.every_ns = run->options->every_ns;
	if (run->options->children == CHILDREN_OUT)
		verb.pid = (uint32_t)run->command.pid;
	verb.count = PROFD_MAX_COUNT;
	verb.send_files = !run->options->output;
	request.verb_case = PROFD__REQUEST__VERB_SNAPSHOT;
	request.snapshot = &verb;
	if (connect_send(run->periodic_fd, &request) < 0)
		close(take_fd(&run->periodic_fd));
}

static void take_periodic(struct run *run)
{
	_cleanup_(reply_done) struct reply reply = {.fd = -1};

	if (connect_receive(run->periodic_fd, &reply) == 0 &&
	    reply.message->kind_case != PROFD__REPLY__KIND_ERROR &&
	    reply.message->kind_case != PROFD__REPLY__KIND_DONE) {
		/* The terminal is the command's as long as it runs. */
		deliver_take(&run->deliver, &reply, true);
		return;
	}
	if (reply.message && reply.message->kind_case == PROFD__REPLY__KIND_ERROR)
		output_error("--every: %s", reply.message->error->message);
	close(take_fd(&run->periodic_fd));
}

static void take_signals(struct run *run)
{
	struct signal_taken taken;

	while (signals_take(run->signals_fd, &taken) == 0) {
		if (taken.number == SIGCHLD)
			command_reap(&run->command);
		else if (taken.from_process && !run->command.ended)
			kill(run->command.pid, taken.number);
	}
}

static int periodic_timeout_ms(const struct run *run)
{
	uint64_t now = clock_mono_ns();

	if (run->periodic_due_ns == 0)
		return -1;
	if (run->periodic_due_ns <= now)
		return 0;
	return (int)min((run->periodic_due_ns - now) / NSEC_PER_MSEC + 1, (uint64_t)INT32_MAX);
}

static void attend(struct run *run)
{
	struct pollfd wait[] = {
		{.fd = run->signals_fd, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};

	while (!run->command.ended) {
		wait[1].fd = run->periodic_fd;
		if (poll(wait, ARRAY_SIZE(wait), periodic_timeout_ms(run)) < 0)
			continue;
		if (wait[0].revents != 0)
			take_signals(run);
		if (wait[1].revents != 0)
			take_periodic(run);
		if (run->periodic_due_ns != 0 && run->periodic_due_ns <= clock_mono_ns())
			start_periodic(run);
	}
}

/* profd-http for what the private profd sees; it says itself where it listens. */
static int serve(struct run *run, int *ret_signal)
{
	const char *const args[] = {"--private", "--socket",	     run->daemon.socket,
				    "--listen",	 run->options->http, NULL};
	const struct helper_server how = {
		.name = "profd-http",
		.args = args,
		.mask = &run->mask,
		.signals_fd = run->signals_fd,
		.timeout_ms = RUN_HTTP_START_MS,
	};

	return run->options->http ? helper_serve(&how, &run->http, ret_signal) : 0;
}

/* From the first fork to the exit code. */
static int start_and_follow(struct run *run, const char *library)
{
	struct private_options how = {
		.output = run->options->output,
		.event = run->options->event,
		.frequency_hz = run->options->frequency_hz,
		.mask = &run->mask,
		.signals_fd = run->signals_fd,
	};
	int number = 0, r;

	r = private_start(&how, &run->daemon, &number);
	if (r == 0)
		r = serve(run, &number);
	if (r == 0)
		r = fork_command(run, library);
	if (r == 0)
		r = watch_begin(&run->watch, run->daemon.socket, run->command.pid, &number);
	if (r == 0)
		r = command_release(&run->command, run->watch.timers_hz);
	if (r == -EINTR)
		return PROFCTL_SIGNAL + number;
	if (r < 0)
		return PROFCTL_FAILED;
	if (run->options->every_ns > 0)
		run->periodic_due_ns = clock_mono_ns() + run->options->every_ns;
	attend(run);
	r = command_exec_error(&run->command);
	if (r < 0)
		output_error("%s: %s", run->options->argv[0], strerror(-r));
	else
		watch_finish(&run->watch);
	return command_exit_code(&run->command);
}

static int run_main(struct profctl *ctl, int argc, char **argv)
{
	static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
	struct run_options options = {};
	struct run run = {.watch.fd = -1, .periodic_fd = -1, .sigpipe = ctl->sigpipe};
	_cleanup_free_ char *library = NULL;
	int value, code;

	value = run_options_parse(ctl, argc, argv, &options);
	if (value != ARGS_END)
		return args_exit(value);
	run.options = &options;
	deliver_init(&run.deliver, options.output, options.cpu, options.heap);
	run.deliver.offcpu = options.offcpu;
	run.deliver.block = options.block;
	run.deliver.mutex = options.mutex;
	run.deliver.children = options.children == CHILDREN_IN;
	if (check_output(&run) < 0)
		return PROFCTL_FAILED;
	if ((deliver_wants_client(&run.deliver) || options.http || !options.event) &&
	    helper_find("libprofd.so", &library) < 0)
		return PROFCTL_FAILED;
	run.signals_fd = signals_open(watched, ARRAY_SIZE(watched), &run.mask);
	if (run.signals_fd < 0) {
		output_error("signals: %s", strerror(-run.signals_fd));
		return PROFCTL_FAILED;
	}
	run.watch.options = &options;
	run.watch.deliver = &run.deliver;
	run.watch.signals_fd = run.signals_fd;
	code = start_and_follow(&run, library);
	command_done(&run.command);
	helper_stop(run.http, 0);
	if (run.periodic_fd >= 0)
		close(run.periodic_fd);
	if (run.watch.fd >= 0)
		close(run.watch.fd);
	private_stop(&run.daemon, run.watch.fd >= 0);
	close(run.signals_fd);
	deliver_done(&run.deliver);
	return code;
}

const struct profctl_command profctl_run = {
	.name = "run",
	.run = run_main,
	.summary = "runs a command under a private profd and leaves its profiles",
	.help = run_options_help,
};
