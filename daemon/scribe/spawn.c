/*
 * The scribe is executed anew rather than forked off: it must not inherit the
 * engine's memory, and it shall look the same whenever it is started.
 */
#include "daemon/scribe/spawn.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profd/base.h"

#define SPAWN_SOCKET 3

/* The engine blocks signals that it reads from descriptors. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

static int execute(const char *program, int socket, pid_t *ret_pid)
{
	char *const argv[] = {(char *)program, (char *)"--scribe", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	r = posix_spawn_file_actions_adddup2(&actions, socket, SPAWN_SOCKET);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, SPAWN_SOCKET + 1);
	if (r == 0)
		r = -set_signals(&attr);
	if (r == 0)
		r = posix_spawn(ret_pid, program, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void end_unused(struct spawned *spawned)
{
	spawned_end(spawned);
}

int spawn_scribe(const char *program, struct spawned *ret_spawned)
{
	_cleanup_(end_unused) struct spawned spawned = SPAWNED_NONE;
	int sockets[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	spawned.socket = sockets[0];
	r = execute(program, sockets[1], &spawned.pid);
	close(sockets[1]);
	if (r < 0) {
		spawned.pid = -1;
		return r;
	}
	/* It is our child and not yet waited for, so the number is still its. */
	spawned.pid_fd = pidfd_open(spawned.pid, 0);
	if (spawned.pid_fd < 0)
		return -errno;
	*ret_spawned = spawned;
	spawned = (struct spawned)SPAWNED_NONE;
	return 0;
}

int spawned_end(struct spawned *spawned)
{
	int status = 0;

	if (spawned->pid > 0) {
		kill(spawned->pid, SIGKILL);
		while (waitpid(spawned->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	profd_closep(&spawned->pid_fd);
	profd_closep(&spawned->socket);
	*spawned = (struct spawned)SPAWNED_NONE;
	return status;
}
