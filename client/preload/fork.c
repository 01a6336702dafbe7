/*
 * A child that fork() made runs fork_child() before it returns to the program,
 * alone in its process. Until then the word session.here is 0 in it, for the
 * kernel empties that page, and nothing is recorded: the mapped table is the
 * parent's still. A child that a raw clone made stays like that. A vfork child
 * shares the parent's memory, and what it allocates is the parent's.
 *
 * A child of a program that has confined itself is given none, for its filter may
 * kill for making one. It is not profiled; its own exec starts afresh.
 *
 * Nothing here waits for a lock, allocates, or starts a thread where another
 * thread could have held a lock at the moment of the fork.
 */
#include "client/preload/fork.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/preload/cpu.h"
#include "client/preload/fast.h"
#include "client/preload/labels.h"
#include "client/preload/service.h"
#include "client/preload/session.h"
#include "client/preload/table.h"
#include "client/preload/waits.h"
#include "client/preload/weight.h"

/* The environment may have changed since the start. Empty: too long for a socket. */
static char socket_path[SERVICE_PATH_BYTES];

static void fork_prepare(void)
{
	int saved = errno;

	if (session_is_recording())
		service_before_fork();
	errno = saved;
}

static void give_up(void)
{
	table_abandon();
	__atomic_store_n(&session.state, SESSION_OFF, __ATOMIC_RELEASE);
}

static void fork_child(void)
{
	int saved = errno, fd;

	if (__atomic_load_n(&session.state, __ATOMIC_ACQUIRE) != SESSION_ACTIVE)
		return;
	if (service_is_confined() || table_clone(&fd) < 0) {
		give_up();
		errno = saved;
		return;
	}
	/* The same numbers again would be drawn in both. */
	session.seed = weight_mix(session.seed ^ (uint64_t)getpid());
	fast_thread.random = 0;
	waits_after_fork();
	*session.here = 1;
	labels_after_fork();
	service_attach(socket_path, fd);
	close(fd);
	cpu_after_fork();
	service_after_fork();
	errno = saved;
}

/* glibc's pthread_atfork() is linked in, and leaves a symbol that no other C library
 * resolves: a program of one would not start. So what is there is looked up. */
static void register_handlers(void)
{
	int (*glibc)(void (*)(void), void (*)(void), void (*)(void), void *);
	int (*other)(void (*)(void), void (*)(void), void (*)(void));

	*(void **)&glibc = dlsym(RTLD_DEFAULT, "__register_atfork");
	if (glibc) {
		glibc(fork_prepare, NULL, fork_child, NULL);
		return;
	}
	*(void **)&other = dlsym(RTLD_DEFAULT, "pthread_atfork");
	if (other)
		other(fork_prepare, NULL, fork_child);
}

const char *fork_socket_path(void)
{
	return socket_path;
}

void fork_init(const char *path)
{
	size_t n = strlen(path);

	if (n < sizeof(socket_path))
		memcpy(socket_path, path, n);
	register_handlers();
}
