#include "daemon/scribe/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/base.h"
#include "proto/publish.h"

/* Six modules that each kill a scribe are enough; then it is asked once without
 * any. The same after two deaths that no module explains: the first may have
 * been an accident, out of memory say. */
#define JOB_MAX_DEATHS	 6
#define JOB_MAX_UNBLAMED 2

static int write_all(int fd, const uint8_t *bytes, size_t n)
{
	ssize_t written;

	while (n > 0) {
		written = write(fd, bytes, n);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			n -= (size_t)written;
		}
	}
	return 0;
}

static int put_away(const char *name, const uint8_t *bytes, size_t n)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
	int r = fd < 0 ? -errno : write_all(fd, bytes, n);

	return r < 0 ? r : take_fd(&fd);
}

static int encode_raw(const struct pprof *profile)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n;
	int r;

	r = pprof_encode(profile, &bytes, &n);
	return r < 0 ? r : put_away("profd-raw", bytes, n);
}

static int job_init(struct job *job, struct frozen *frozen, int out_fd, const char *name)
{
	job->raw_fd = encode_raw(frozen->profile);
	if (job->raw_fd < 0)
		return job->raw_fd;
	if (frozen->events)
		job->events_fd = put_away("profd-events", frozen->events, frozen->n_event_bytes);
	if (frozen->events && job->events_fd < 0)
		return job->events_fd;
	job->out_fd = fcntl(out_fd, F_DUPFD_CLOEXEC, 3);
	if (job->out_fd < 0)
		return -errno;
	if (name) {
		job->name = strdup(name);
		if (!job->name)
			return -ENOMEM;
	}
	job->modules = take_ptr(frozen->modules);
	job->n_modules = frozen->n_modules;
	return 0;
}

int job_new(struct frozen *frozen, int out_fd, const char *name, struct job **ret_job)
{
	struct job *job = calloc(1, sizeof(*job));
	int r = -ENOMEM;

	if (job) {
		job->raw_fd = job->events_fd = job->out_fd = job->unnamed_fd = -1;
		r = job_init(job, frozen, out_fd, name);
	}
	frozen_done(frozen);
	if (r < 0)
		job_free(job);
	else
		*ret_job = job;
	return r;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	profd_closep(&job->raw_fd);
	profd_closep(&job->events_fd);
	profd_closep(&job->out_fd);
	profd_closep(&job->unnamed_fd);
	free(job->name);
	free(job->modules);
	free(job);
}

bool job_count_death(struct job *job, uint32_t module)
{
	if (job->bare)
		return false;
	job->deaths++;
	if (module == 0)
		job->unblamed++;
	if (job->deaths >= JOB_MAX_DEATHS || job->unblamed >= JOB_MAX_UNBLAMED)
		job->bare = true;
	return true;
}

bool job_take_naming(struct job *job)
{
	int fd;

	if (!job->name || job->unnamed_fd >= 0)
		return false;
	fd = publish_open(job->out_fd, SCRIBE_FILE_MODE);
	if (fd < 0)
		return false;
	job->unnamed_fd = fd;
	return true;
}

int job_give_name(struct job *job)
{
	return publish_link_next(job->out_fd, job->unnamed_fd, job->name);
}
