/*
 * One loop over two descriptors: the keeper's socket and the engine's pidfd.
 *
 * Each engine has a socket to the keeper of its own, so that what one has asked when
 * it died is not the next one's answer. Descriptors of a service manager (LISTEN_FDS)
 * are handed on; to a later engine only those that listen: what else was stored
 * belongs to processes that the first one has taken over.
 *
 * It ignores the signals that end a service: a terminal and a service manager send
 * them to everybody, but first the engine writes what it has, and then this ends.
 */
#include "daemon/keeper/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/keeper/confine.h"
#include "daemon/keeper/pass.h"
#include "profd/base.h"

#define FIRST_PASSED_FD 3 /* SD_LISTEN_FDS_START */

/* So many deaths in so short a time: another start would not help. */
#define DEATHS		 5
#define DEATHS_WITHIN_NS (10 * NSEC_PER_SEC)

#define SEE_OFF_MS 1000

static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

struct starter {
	const struct starter_config *config;
	int socket; /* to the keeper */
	pid_t engine;
	int engine_fd; /* its pidfd; -1: there is none */
	bool ending;   /* the engine was told to end */
	uint64_t deaths_ns[DEATHS];
	unsigned n_deaths;
};

static int tell(struct starter *s, const struct starter_message *message, int fd)
{
	struct iovec part = {.iov_base = (void *)message, .iov_len = sizeof(*message)};

	return pass_send(s->socket, &part, 1, fd, 0);
}

/* ---- in the child that becomes an engine */

static void default_signals(void)
{
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* These name the process that they are meant for. */
static void take_environment(void)
{
	static const char *const names[] = {"LISTEN_PID", "WATCHDOG_PID"};
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (getenv(names[i]))
			setenv(names[i], pid, 1);
}

static _Noreturn void become_engine(struct starter *s, int socket)
{
	size_t n = 0;
	char **argv, number[16];

	while (s->config->argv[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv || fcntl(socket, F_SETFD, 0) < 0)
		_exit(1);
	snprintf(number, sizeof(number), "%d", socket);
	argv[0] = s->config->argv[0];
	argv[1] = (char *)"--engine";
	argv[2] = number;
	for (size_t i = 1; i < n; i++)
		argv[i + 2] = s->config->argv[i];
	default_signals();
	take_environment();
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* ---- engines come and go */

static int start_engine(struct starter *s)
{
	struct starter_message message = {.kind = STARTER_STARTED};
	int sockets[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	s->engine = fork();
	if (s->engine == 0)
		become_engine(s, sockets[1]);
	r = s->engine < 0 ? -errno : 0;
	close(sockets[1]);
	if (r == 0) {
		/* our child and not yet waited for: the number is its */
		s->engine_fd = pidfd_open(s->engine, 0);
		r = s->engine_fd < 0 ? -errno : 0;
	}
	message.pid = s->engine;
	if (r == 0)
		r = tell(s, &message, sockets[0]);
	close(sockets[0]);
	return r;
}

/* What does not listen is another's by now: the number stays taken, as their order
 * has a meaning. */
static void keep_listening(void)
{
	const char *n = getenv("LISTEN_FDS");
	int nothing = n ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;

	for (int i = 0; nothing >= 0 && i < atoi(n); i++) {
		int listens = 0;
		socklen_t bytes = sizeof(listens);

		if (getsockopt(FIRST_PASSED_FD + i, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) <
			    0 ||
		    !listens)
			dup2(nothing, FIRST_PASSED_FD + i);
	}
	profd_closep(&nothing);
}

static bool dies_too_often(struct starter *s)
{
	uint64_t now = clock_mono_ns(), *oldest = &s->deaths_ns[s->n_deaths++ % DEATHS];
	bool often = *oldest != 0 && now - *oldest < DEATHS_WITHIN_NS;

	*oldest = now;
	return often;
}

static int fail(struct starter *s, int error)
{
	struct starter_message message = {.kind = STARTER_FAILED, .number = error};

	(void)tell(s, &message, -1);
	return EXIT_FAILURE;
}

/* An exit status, or -1 to go on. */
static int on_engine_end(struct starter *s)
{
	struct starter_message message = {.kind = STARTER_KILLED, .pid = s->engine};
	int status = 0, r;

	while (waitpid(s->engine, &status, 0) < 0 && errno == EINTR)
		;
	profd_closep(&s->engine_fd);
	s->engine_fd = -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	message.number = WTERMSIG(status);
	(void)tell(s, &message, -1);
	if (s->ending || dies_too_often(s))
		return EXIT_FAILURE;
	r = start_engine(s);
	return r < 0 ? fail(s, r) : -1;
}

/* False: the keeper has gone; the engine will notice by itself. */
static bool on_keeper(struct starter *s)
{
	struct starter_message message;
	ssize_t n = recv(s->socket, &message, sizeof(message), 0);

	if (n < 0 && errno == EINTR)
		return true;
	if (n != sizeof(message) || message.kind != STARTER_SIGNAL)
		return false;
	s->ending |= message.number == SIGTERM || message.number == SIGINT;
	(void)kill(s->engine, message.number);
	return true;
}

/* The engine hears of its keeper's end, too, unless it hangs. */
static int see_off(struct starter *s)
{
	struct pollfd end = {.fd = s->engine_fd, .events = POLLIN};

	if (poll(&end, 1, SEE_OFF_MS) <= 0)
		(void)kill(s->engine, SIGKILL);
	return EXIT_FAILURE;
}

static int supervise(struct starter *s)
{
	struct pollfd fds[2] = {{.fd = s->socket, .events = POLLIN}, {.events = POLLIN}};
	int r = start_engine(s), status = r < 0 ? fail(s, r) : -1;

	keep_listening();
	while (status < 0) {
		fds[1].fd = s->engine_fd;
		fds[0].revents = fds[1].revents = 0;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (fds[0].revents && !on_keeper(s))
			return see_off(s);
		if (fds[1].revents)
			status = on_engine_end(s);
	}
	return status;
}

static _Noreturn void run(const struct starter_config *config, int socket)
{
	struct starter s = {.config = config, .socket = socket, .engine_fd = -1};
	sigset_t none;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "profd-starter", 0, 0, 0);
	r = confine_engine(config->uid, config->gid);
	if (r < 0)
		_exit(fail(&s, r));
	_exit(supervise(&s));
}

int starter_start(const struct starter_config *config, pid_t *ret_pid, int *ret_socket)
{
	int sockets[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(sockets[0]);
		run(config, sockets[1]);
	}
	close(sockets[1]);
	if (pid < 0) {
		close(sockets[0]);
		return -errno;
	}
	*ret_pid = pid;
	*ret_socket = sockets[0];
	return 0;
}
