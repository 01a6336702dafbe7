/*
 * The order at the start: look what the machine allows; fork the starter, while there
 * is still the right to become another user; then let go of all but what the verbs
 * need. Of signals the keeper only hears by a descriptor, and passes them on.
 *
 * The keeper ends when the starter has ended, and it does so when the engine has. So
 * what the engine still needs at its end it gets.
 */
#include "daemon/keeper/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/keeper/confine.h"
#include "daemon/keeper/machine.h"
#include "daemon/keeper/pass.h"
#include "daemon/keeper/serve.h"
#include "profd/base.h"

struct guard {
	const struct guard_config *config;
	struct keeper *keeper;
	struct serve *serve;
	pid_t starter;
	int starter_fd; /* its socket */
	int engine_fd;	/* the engine's; -1: none asks at the moment */
	int signal_fd;
	char notes[KEEPER_NOTES_BYTES];
};

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};

/* ---- start */

static int block_signals(int *ret_fd)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static int make_keeper(struct guard *g)
{
	int r = keeper_new_local(&g->keeper);

	/* Each is put before the others. */
	for (size_t i = g->config->n_debug_dirs; r == 0 && i > 0; i--)
		r = keeper_add_debug_dir(g->keeper, g->config->debug_dirs[i - 1]);
	return r < 0 ? r : serve_new(g->keeper, &g->serve);
}

/* Those that a service manager passed are the engine's alone. */
static void close_passed(void)
{
	const char *n = getenv("LISTEN_FDS");

	if (n && atoi(n) > 0)
		close_range(3, 2 + (unsigned)atoi(n), 0);
}

static int start(struct guard *g, const char **ret_what)
{
	struct machine machine;
	int r;

	*ret_what = "signals";
	r = block_signals(&g->signal_fd);
	if (r < 0)
		return r;
	*ret_what = "keeper";
	r = make_keeper(g);
	if (r < 0)
		return r;
	*ret_what = "starting the engine";
	r = starter_start(&g->config->engine, &g->starter, &g->starter_fd);
	if (r < 0)
		return r;
	close_passed();
	*ret_what = "giving up privileges";
	r = confine_keeper();
	if (r < 0)
		return r;
	machine_look(confine_held_capabilities(), &machine);
	machine_describe(&machine, g->notes, sizeof(g->notes));
	serve_describe(g->serve, g->starter, g->notes);
	return confine_keeper_calls();
}

int guard_new(const struct guard_config *config, struct guard **ret_guard, char *why,
	      size_t why_size)
{
	struct guard *g = calloc(1, sizeof(*g));
	const char *what;
	int r;

	if (!g) {
		snprintf(why, why_size, "start: out of memory");
		return -ENOMEM;
	}
	g->config = config;
	g->starter_fd = g->engine_fd = g->signal_fd = -1;
	r = start(g, &what);
	if (r < 0) {
		snprintf(why, why_size, "%s: %s", what, strerror(-r));
		guard_free(g);
		return r;
	}
	*ret_guard = g;
	return 0;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	profd_closep(&g->starter_fd);
	profd_closep(&g->engine_fd);
	profd_closep(&g->signal_fd);
	serve_free(g->serve);
	keeper_free(g->keeper);
	free(g);
}

const char *guard_notes(const struct guard *g)
{
	return g->notes;
}

/* ---- run */

static void hang_up(struct guard *g)
{
	profd_closep(&g->engine_fd);
	g->engine_fd = -1;
}

static void take_engine(struct guard *g, pid_t pid, int fd)
{
	hang_up(g);
	g->engine_fd = fd;
	serve_start_engine(g->serve, pid);
}

static void say(struct guard *g, const struct starter_message *m)
{
	const char *name = m->kind == STARTER_KILLED ? sigabbrev_np(m->number) : NULL;
	char line[96];

	if (m->kind == STARTER_FAILED)
		snprintf(line, sizeof(line), "the engine cannot be started: %s",
			 strerror(-m->number));
	else
		snprintf(line, sizeof(line), "the engine (pid %d) was killed by %s%s", (int)m->pid,
			 name ? "SIG" : "a signal", name ?: "");
	g->config->say(line);
}

/* False: it has ended. */
static bool on_starter(struct guard *g)
{
	struct starter_message message;
	int fd;

	if (pass_receive(g->starter_fd, &message, sizeof(message), 0, &fd) != sizeof(message))
		return false;
	if (message.kind == STARTER_STARTED && fd >= 0)
		take_engine(g, message.pid, take_fd(&fd));
	else if (message.kind == STARTER_KILLED || message.kind == STARTER_FAILED)
		say(g, &message);
	profd_closep(&fd);
	return true;
}

static void on_signal(struct guard *g)
{
	struct starter_message message = {.kind = STARTER_SIGNAL};
	struct signalfd_siginfo info;

	if (read(g->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP && g->config->reload)
		g->config->reload(g->keeper, g->config->userdata);
	message.number = (int32_t)info.ssi_signo;
	(void)send(g->starter_fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int starter_status(struct guard *g)
{
	int status = 0;

	while (waitpid(g->starter, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int guard_run(struct guard *g)
{
	struct pollfd fds[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};

	for (;;) {
		fds[0].fd = g->engine_fd; /* -1 is passed over */
		fds[1].fd = g->starter_fd;
		fds[2].fd = g->signal_fd;
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (fds[0].revents && serve_socket(g->serve, g->engine_fd) < 0)
			hang_up(g);
		if (fds[1].revents && !on_starter(g))
			return starter_status(g);
		if (fds[2].revents)
			on_signal(g);
	}
}
