/*
 * A child that fork() made runs fork_child() before it returns to the program,
 * alone in its process. Until then the word session.here is 0 in it, for the
 * kernel empties that page, and nothing is recorded: the mapped table is the
 * parent's still. A child that a raw clone made stays like that. A vfork child
 * shares the parent's memory, and what it allocates is the parent's.
 *
 * Nothing here waits for a lock, allocates, or starts a thread where another
 * thread could have held a lock at the moment of the fork.
 */
#include "client/preload/fork.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "client/preload/fast.h"
#include "client/preload/service.h"
#include "client/preload/session.h"
#include "client/preload/table.h"
#include "client/preload/weight.h"

/* What pthread_atfork() asks for, as we link without the compiler's own start
 * files: the object whose unloading drops the handlers. */
extern void *__dso_handle __attribute__((visibility("hidden")));
void *__dso_handle = &__dso_handle;

static char socket_path[PATH_MAX]; /* the environment may have changed since the start */

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
	if (table_clone(&fd) < 0) {
		give_up();
		errno = saved;
		return;
	}
	/* The same numbers again would be drawn in both. */
	session.seed = weight_mix(session.seed ^ (uint64_t)getpid());
	fast_thread.random = 0;
	*session.here = 1;
	service_attach(socket_path, fd);
	close(fd);
	service_after_fork();
	errno = saved;
}

void fork_init(const char *path)
{
	strncpy(socket_path, path, sizeof(socket_path) - 1);
	pthread_atfork(fork_prepare, NULL, fork_child);
}
