/*
 * What the kernel does for a single thread or only in a process of one thread
 * would go wrong in a program that has one thread, for the service thread makes
 * it two. It ends before such a call:
 *
 * - Capabilities belong to a thread, and the C library changes the user in each
 *   of them: where some may and some may not, it aborts the program. After the
 *   program has begun to treat its own thread apart the other stays away.
 *
 * - A system call filter holds for the thread that sets it. One that it does not
 *   hold for is a way out of the sandbox, and the C library's change of user
 *   would go apart again. A program that gives up new privileges is about to set
 *   one. The thread stays away, also from children, where starting it could be
 *   what the filter kills for.
 *
 * - unshare() and setns() want one thread, or change what threads share for
 *   one. Here the thread comes back, in the new surroundings. Where the
 *   program has other threads it stays: these calls are then about the one that
 *   makes them.
 *
 * Arguments go on untouched, and errno is the next function's.
 */
#include "client/preload/aside.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/preload/cpu.h"
#include "client/preload/service.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int capset(cap_user_header_t header, const cap_user_data_t data);

static struct {
	int (*prctl)(int option, ...);
	int (*capset)(cap_user_header_t header, const cap_user_data_t data);
	int (*unshare)(int flags);
	int (*setns)(int fd, int type);
} next;

void aside_init(void)
{
	*(void **)&next.prctl = dlsym(RTLD_NEXT, "prctl");
	*(void **)&next.capset = dlsym(RTLD_NEXT, "capset");
	*(void **)&next.unshare = dlsym(RTLD_NEXT, "unshare");
	*(void **)&next.setns = dlsym(RTLD_NEXT, "setns");
}

static void leave(bool for_children_too)
{
	int saved = errno;

	service_leave(for_children_too);
	if (for_children_too)
		cpu_leave();
	errno = saved;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list list;

	va_start(list, option);
	for (unsigned i = 0; i < 4; i++)
		a[i] = va_arg(list, unsigned long);
	va_end(list);

	switch (option) {
	case PR_SET_KEEPCAPS:
	case PR_SET_SECUREBITS:
	case PR_CAPBSET_DROP:
	case PR_CAP_AMBIENT:
		leave(false);
		break;
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_SECCOMP:
		leave(true);
		break;
	}
	if (!next.prctl)
		return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
	return next.prctl(option, a[0], a[1], a[2], a[3]);
}

EXPORT int capset(cap_user_header_t header, const cap_user_data_t data)
{
	leave(false);
	return next.capset ? next.capset(header, data) : (int)syscall(SYS_capset, header, data);
}

/* True: the thread has to come back, which is after the call. */
static bool pause_service(void)
{
	int saved = errno;
	bool paused = service_pause();

	errno = saved;
	return paused;
}

static int resume_service(bool paused, int result)
{
	int saved = errno;

	if (paused)
		service_start();
	errno = saved;
	return result;
}

EXPORT int unshare(int flags)
{
	bool paused = pause_service();

	return resume_service(paused, next.unshare ? next.unshare(flags)
						   : (int)syscall(SYS_unshare, flags));
}

EXPORT int setns(int fd, int type)
{
	bool paused = pause_service();

	return resume_service(paused, next.setns ? next.setns(fd, type)
						 : (int)syscall(SYS_setns, fd, type));
}
