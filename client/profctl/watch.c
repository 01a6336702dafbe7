#include "client/profctl/watch.h"

#include <errno.h>
#include <string.h>

#include "client/profctl/connect.h"
#include "client/profctl/output.h"
#include "client/profctl/signals.h"
#include "profd/base.h"
#include "proto/control.h"

#define PATIENCE_MS 120000 /* of silence: no profile takes as long */
#define DEFAULT_HZ  99
#define WAITS_TYPES 2
#define LOST	    "profiles not yet written are lost"

/* A refusal means that there are no CPU samples, not that there is no heap: it
 * ends the run only if CPU samples were asked for by name. */
static int take_refusal(struct watch *w, const Profd__Error *error)
{
	if (w->options->cpu || w->options->offcpu ||
	    (w->options->event && deliver_wants_cpu(w->deliver))) {
		output_error("%s", error->message);
		return -EACCES;
	}
	if (deliver_wants_cpu(w->deliver))
		output_note("no CPU profile, only the heap: %s", error->message);
	w->deliver->no_cpu = true;
	return 0;
}

/* Waits for one reply. -EINTR: *ret_signal. */
/* @lost: what a silence costs. */
static int receive(const struct watch *w, const char *lost, struct reply *ret_reply,
		   int *ret_signal)
{
	int r;

	r = signals_wait(w->signals_fd, w->fd, PATIENCE_MS, ret_signal);
	if (r == -ETIMEDOUT)
		output_error("profd: no answer for %d s: %s", PATIENCE_MS / 1000, lost);
	return r < 0 ? r : connect_receive(w->fd, ret_reply);
}

static size_t name_waits(const struct watch *w, char **ret_types)
{
	size_t n = 0;

	if (w->options->block)
		ret_types[n++] = (char *)"block";
	if (w->options->mutex)
		ret_types[n++] = (char *)"mutex";
	return n;
}

static int ask_to_watch(const struct watch *w, pid_t pid, struct reply *ret_reply, int *ret_signal)
{
	char *types[WAITS_TYPES];
	Profd__Watch verb = PROFD__WATCH__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;
	int r;

	verb.pid = (uint32_t)pid;
	verb.timers_hz = w->timers_hz;
	verb.offcpu = w->options->offcpu != NULL;
	verb.types = types;
	verb.n_types = name_waits(w, types);
	request.verb_case = PROFD__REQUEST__VERB_WATCH;
	request.watch = &verb;
	r = connect_send(w->fd, &request);
	return r < 0 ? r : receive(w, "the command was not run", ret_reply, ret_signal);
}

static uint32_t timers_hz(const struct watch *w)
{
	uint64_t hz = w->options->frequency_hz;

	return hz == 0 ? DEFAULT_HZ : (uint32_t)min(hz, (uint64_t)RUN_TIMERS_MAX_HZ);
}

/* An event that was asked for by name is that or nothing. */
static bool may_use_timers(const struct watch *w, const Profd__Error *error)
{
	if (w->timers_hz > 0 || w->options->event || w->options->offcpu ||
	    !deliver_wants_cpu(w->deliver))
		return false;
	switch (error->code) {
	case EACCES:
	case EPERM:
	case ENOSYS:
	case ENOBUFS:
		return true;
	default:
		return false;
	}
}

static void note_timers(const char *why)
{
	static const char prefix[] = "perf_event_open: ";

	if (strncmp(why, prefix, strlen(prefix)) == 0)
		why += strlen(prefix);
	output_note("CPU samples by the program's own timers: user stacks only; "
		    "perf_event_open was refused: %s",
		    why);
}

int watch_begin(struct watch *w, const char *socket, pid_t pid, int *ret_signal)
{
	_cleanup_(reply_done) struct reply reply = {.fd = -1}, again = {.fd = -1};
	const Profd__Reply *answer;
	int r;

	w->fd = control_connect(socket);
	if (w->fd < 0) {
		output_error("profd: %s: %s: the command was not run", socket, strerror(-w->fd));
		return w->fd;
	}
	if (w->options->timers && deliver_wants_cpu(w->deliver))
		w->timers_hz = timers_hz(w);
	r = ask_to_watch(w, pid, &reply, ret_signal);
	if (r < 0)
		return r;
	answer = reply.message;
	if (answer->kind_case == PROFD__REPLY__KIND_ERROR && may_use_timers(w, answer->error)) {
		note_timers(answer->error->message);
		w->timers_hz = timers_hz(w);
		r = ask_to_watch(w, pid, &again, ret_signal);
		if (r < 0)
			return r;
		answer = again.message;
	}
	return answer->kind_case == PROFD__REPLY__KIND_ERROR ? take_refusal(w, answer->error) : 0;
}

void watch_finish(struct watch *w)
{
	char *types[WAITS_TYPES];
	Profd__Finish verb = PROFD__FINISH__INIT;
	Profd__Request request = PROFD__REQUEST__INIT;
	int number = 0;

	verb.cpu = deliver_wants_cpu(w->deliver);
	verb.heap = deliver_wants_heap(w->deliver);
	verb.offcpu = w->options->offcpu != NULL;
	verb.types = types;
	verb.n_types = name_waits(w, types);
	verb.send_files = !w->options->output;
	verb.own = w->options->children == CHILDREN_OUT;
	request.verb_case = PROFD__REQUEST__VERB_FINISH;
	request.finish = &verb;
	if (connect_send(w->fd, &request) < 0)
		return;
	if (w->deliver->written > 0)
		output_note("wrote %u files while it ran", w->deliver->written);
	for (;;) {
		_cleanup_(reply_done) struct reply reply = {.fd = -1};
		int r;

		r = receive(w, LOST, &reply, &number);
		if (r == -EINTR)
			output_error("interrupted: %s", LOST);
		if (r < 0)
			return;
		if (reply.message->kind_case == PROFD__REPLY__KIND_DONE)
			break;
		if (reply.message->kind_case == PROFD__REPLY__KIND_ERROR) {
			output_error("%s", reply.message->error->message);
			return;
		}
		deliver_take(w->deliver, &reply, false);
	}
	deliver_finish(w->deliver);
}
