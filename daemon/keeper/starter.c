/*
 * One loop over three descriptors: the keeper's socket, the engine's pidfd, and what
 * the engine wants kept (shelf.h).
 *
 * Each engine has sockets of its own, so that what one has asked the keeper when it
 * died is not the next one's answer; what it has put on the shelf before it died is
 * still taken in.
 *
 * Each process is killed by the kernel when the one above it has gone, whatever it is
 * doing: a service manager starts nothing anew before the last has ended.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/keeper/confine.h"
#include "daemon/keeper/pass.h"
#include "daemon/keeper/shelf.h"
#include "profd/base.h"

/* So many deaths in so short a time: another start would not help. */
#define DEATHS		 5
#define DEATHS_WITHIN_NS (10 * NSEC_PER_SEC)

static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

struct starter {
	const struct starter_config *config;
	int socket; /* to the keeper */
	pid_t engine;
	int engine_fd; /* its pidfd; -1: there is none */
	int shelf_fd;  /* its socket for the shelf; -1 likewise */
	struct shelf *shelf;
	bool ending; /* the engine was told to end */
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

/* It names the process that it is meant for. */
static void take_watchdog(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (getenv("WATCHDOG_PID"))
		setenv("WATCHDOG_PID", pid, 1);
}

/* @sockets: to the keeper, and for the shelf. */
static _Noreturn void become_engine(struct starter *s, int sockets[2])
{
	char numbers[2][16], **argv;
	size_t n = 0;

	while (s->config->argv[n])
		n++;
	argv = calloc(n + 5, sizeof(*argv));
	if (!argv || shelf_hand_over(s->shelf, sockets, 2) < 0)
		_exit(1);
	for (size_t i = 0; i < 2; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%d", sockets[i]);
	argv[0] = s->config->argv[0];
	argv[1] = (char *)"--engine";
	argv[2] = numbers[0];
	argv[3] = (char *)"--shelf";
	argv[4] = numbers[1];
	for (size_t i = 1; i < n; i++)
		argv[i + 4] = s->config->argv[i];
	default_signals();
	take_watchdog();
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* ---- engines come and go */

static int pair(int *ret_ours, int *ret_theirs)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	*ret_ours = sockets[0];
	*ret_theirs = sockets[1];
	return 0;
}

static int start_engine(struct starter *s)
{
	struct starter_message message = {.kind = STARTER_STARTED};
	_cleanup_close_ int keepers = -1, to_keeper = -1, ours = -1, to_shelf = -1;
	int r = pair(&keepers, &to_keeper);

	if (r == 0)
		r = pair(&ours, &to_shelf);
	if (r < 0)
		return r;
	s->engine = fork();
	if (s->engine == 0)
		become_engine(s, (int[2]){to_keeper, to_shelf});
	if (s->engine < 0)
		return -errno;
	/* our child and not yet waited for: the number is its */
	s->engine_fd = pidfd_open(s->engine, 0);
	if (s->engine_fd < 0)
		return -errno;
	s->shelf_fd = take_fd(&ours);
	message.pid = s->engine;
	return tell(s, &message, keepers);
}

/* It may say no more than there is room for: what it said last is at the end. */
static void end_shelf(struct starter *s)
{
	while (shelf_receive(s->shelf, s->shelf_fd) == 0)
		;
	profd_closep(&s->shelf_fd);
	s->shelf_fd = -1;
}

/* The engine goes on without one that has hung up. */
static void on_shelf(struct starter *s)
{
	if (shelf_receive(s->shelf, s->shelf_fd) == -ECONNRESET)
		end_shelf(s);
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
	end_shelf(s);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	message.number = WTERMSIG(status);
	(void)tell(s, &message, -1);
	if (s->ending || dies_too_often(s))
		return EXIT_FAILURE;
	r = start_engine(s);
	return r < 0 ? fail(s, r) : -1;
}

/* False: the keeper has gone. */
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

static int supervise(struct starter *s)
{
	struct pollfd fds[3] = {
		{.fd = s->socket, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	int r = start_engine(s), status = r < 0 ? fail(s, r) : -1;

	while (status < 0) {
		fds[1].fd = s->engine_fd;
		fds[2].fd = s->shelf_fd; /* -1 is passed over */
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (fds[0].revents && !on_keeper(s))
			return EXIT_FAILURE;
		if (fds[2].revents)
			on_shelf(s);
		if (fds[1].revents)
			status = on_engine_end(s);
	}
	return status;
}

/* For the shelf: the limit of those who started us is made for other things. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static _Noreturn void run(const struct starter_config *config, int socket)
{
	struct starter s = {.config = config, .socket = socket, .engine_fd = -1, .shelf_fd = -1};
	sigset_t none;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "profd-starter", 0, 0, 0);
	raise_limit();
	r = confine_engine(config->uid, config->gid);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* another user's process has none */
	if (r == 0)
		r = shelf_new(&s.shelf);
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
