/*
 * profd for applications, in C and C++: profiles of the own process when the program
 * wants them.
 *
 *	#include <profd.h>
 *
 *	int fd = open("now.heap.pb.gz", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
 *	profd_write_heap(fd, 0);
 *	profd_start_cpu();
 *	work();
 *	profd_stop_cpu(fd2);
 *
 * Nothing has to be linked (`pkg-config --cflags profd` finds this header): the
 * functions look for the preload client when they are called, which is there if the
 * program was started under `profctl run`, enabled by `profctl enable`, or has it in
 * LD_PRELOAD. Where it is not, each returns -ENOSYS and does nothing: a program that
 * uses this header runs, and runs alike, on a machine without profd.
 *
 * All return 0 or a negative errno:
 *
 *	-ENOSYS		the client is not loaded, or has switched itself off
 *	-ENOENT, -ECONNREFUSED, -EACCES
 *			profd's socket is not there, nobody listens, or we may not
 *	-ENODATA	there is no such profile now: no CPU samples, say
 *	-ETIMEDOUT	no answer within PROFD_TIMEOUT_MS
 *	-EPROTO		the connection ended in the middle
 *	others		as the system calls that write to the descriptor say, and below
 *
 * They may be called from any thread, any number at a time. They ask profd and wait
 * for its answer, so not in a signal handler, and not with a lock held that malloc
 * takes. They are no cancellation points, and allocate nothing. profd hands the
 * finished profile over and the calling thread copies it: what the descriptor is, and
 * whether its reader is slow, is the program's own affair. Profiles are gzip'd pprof.
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PROFD_TIMEOUT_MS 30000

#define PROFD_NO_TRIM 1u /* do not give free memory back before the heap is looked at */

#ifdef __cplusplus
extern "C" {
#endif

/* The client's function of that name; NULL: there is no client. Looked for by name, and
 * not by a weak reference, for the linker makes those NULL for good in programs that
 * are not position-independent. */
static inline void *profd_find_(const char *name)
{
	return dlsym((void *)0, name); /* RTLD_DEFAULT */
}

/* The heap as it is now, written to @fd. @flags: 0 or PROFD_NO_TRIM. */
static inline int profd_write_heap(int fd, unsigned flags)
{
	void *found = profd_find_("profd_client_heap");
	int (*f)(int, unsigned);

	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f(fd, flags);
}

/* The same into a new file, or over what is there; removed again if it fails. Without
 * the client no file is touched. */
static inline int profd_write_heap_file(const char *path, unsigned flags)
{
	int fd, r;

	if (!profd_find_("profd_client_heap"))
		return -ENOSYS;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = profd_write_heap(fd, flags);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		(void)unlink(path);
	return r;
}

/* A profile of @type ("heap", "cpu") of this process, into profd's own directory. */
static inline int profd_snapshot(const char *type, unsigned flags)
{
	void *found = profd_find_("profd_client_snapshot");
	int (*f)(const char *, unsigned);

	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f(type, flags);
}

/* CPU time of this process from now on, until profd_stop_cpu(), for a day at most. One
 * at a time: -EBUSY. In between a descriptor is open, close-on-exec; whoever closes
 * it, or forks and stops in the child, loses the profile. */
static inline int profd_start_cpu(void)
{
	void *found = profd_find_("profd_client_cpu_start");
	int (*f)(void);

	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f();
}

/* Ends it and writes the profile to @fd; -1: nowhere. -EINVAL: none was started here;
 * -EBADF: our descriptor was closed. */
static inline int profd_stop_cpu(int fd)
{
	void *found = profd_find_("profd_client_cpu_stop");
	int (*f)(int);

	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f(fd);
}

#ifdef __cplusplus
}

namespace profd
{
/* CPU time of a scope, written to @fd at its end. */
class cpu_profile
{
      public:
	explicit cpu_profile(int fd) : fd_(fd), error_(profd_start_cpu()) {}
	~cpu_profile() { stop(); }
	cpu_profile(const cpu_profile &) = delete;
	cpu_profile &operator=(const cpu_profile &) = delete;

	/* 0, or why it did not start. */
	int error() const { return error_; }

	int stop()
	{
		int r = error_ == 0 ? profd_stop_cpu(fd_) : error_;

		error_ = -EINVAL; /* it is over */
		return r;
	}

      private:
	int fd_, error_;
};
}
#endif
