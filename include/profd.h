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

/*
 * Labels of the calling thread, as Go's pprof.Do: what the thread uses of CPU time and
 * allocates while it has them carries them in profiles, where `go tool pprof` selects
 * by them (-tagfocus, -tagroot, the command `tags`). They hold for a scope:
 *
 *	void serve(const struct request *q)
 *	{
 *		PROFD_LABEL("handler", q->route);
 *		...
 *	}				the thread has its former labels again
 *
 * Scopes nest: an inner one adds to the outer one's, or takes the place of the one with
 * its key. Eight at a time, keys of at most 63 bytes, values of 127 (what is longer is
 * cut), 512 in all. A program may use some 4,000 different sets of them, so what goes
 * in are routes and tenants, and not the number of a request. New threads begin without;
 * to hand one's labels to a worker, pass it profd_labels_get() for profd_labels_set().
 * Not in signal handlers.
 */

/* As profd_find_(), but asks once; the cache's own address says that there is none. */
static inline void *profd_find_once_(void **cache, const char *name)
{
	void *found = __atomic_load_n(cache, __ATOMIC_RELAXED);

	if (!found) {
		found = profd_find_(name);
		__atomic_store_n(cache, found ? found : (void *)cache, __ATOMIC_RELAXED);
	}
	return found == (void *)cache ? (void *)0 : found;
}

/* Adds a label until profd_labels_set(*ret_former), which is always to be called, also
 * on failure. -EINVAL: no key, no value, a key that is too long or one of profd's own
 * (pid, tid, comm, thread, unit, state, wchan, bytes, pprof::...); -ENOSPC: too many or
 * too much. The thread's labels are then what they were. */
static inline int profd_label_push(const char *key, const char *value, unsigned *ret_former)
{
	static void *cache;
	void *found = profd_find_once_(&cache, "profd_client_label_push");
	int (*f)(const char *, const char *, unsigned *);

	*ret_former = 0;
	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f(key, value, ret_former);
}

/* The calling thread's labels, as a number that holds for the life of the process, and
 * its children's; 0: none. */
static inline unsigned profd_labels_get(void)
{
	static void *cache;
	void *found = profd_find_once_(&cache, "profd_client_labels_get");
	unsigned (*f)(void);

	if (!found)
		return 0;
	memcpy(&f, &found, sizeof(f));
	return f();
}

/* Gives the calling thread those labels and no others. -EINVAL: there are no such. */
static inline int profd_labels_set(unsigned labels)
{
	static void *cache;
	void *found = profd_find_once_(&cache, "profd_client_labels_set");
	int (*f)(unsigned);

	if (!found)
		return -ENOSYS;
	memcpy(&f, &found, sizeof(f));
	return f(labels);
}

static inline unsigned profd_label_begin_(const char *key, const char *value)
{
	unsigned former;

	(void)profd_label_push(key, value, &former);
	return former;
}

static inline void profd_label_end_(unsigned *former)
{
	(void)profd_labels_set(*former);
}

/* A label until the end of the enclosing block, however it is left but for longjmp(). */
#define PROFD_LABEL(key, value) PROFD_LABEL_(key, value, __COUNTER__)
#define PROFD_LABEL_(key, value, n) PROFD_LABEL__(key, value, n)
#define PROFD_LABEL__(key, value, n)                                                               \
	__attribute__((cleanup(profd_label_end_), unused)) unsigned profd_label_##n##_ =           \
		profd_label_begin_(key, value)

#ifdef __cplusplus
}

namespace profd
{
/* A label until the end of its life: profd::label l("handler", route); */
class label
{
      public:
	label(const char *key, const char *value) : error_(profd_label_push(key, value, &former_))
	{
	}
	~label() { (void)profd_labels_set(former_); }
	label(const label &) = delete;
	label &operator=(const label &) = delete;

	/* 0, or why there is none. */
	int error() const { return error_; }

      private:
	unsigned former_;
	int error_;
};

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
