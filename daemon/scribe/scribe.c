/*
 * The engine's end. One job at a time is with the scribe; the others wait in a
 * queue. A job begins by sending those of its modules that this scribe has not
 * seen, goes on by sending the profile, and ends with the scribe's answer, with
 * its death, or with the timer, which is made a death.
 *
 *	IDLE -> SENDING -> RUNNING -> IDLE     an answer
 *	        SENDING, RUNNING   -> IDLE     a death: the job is still the first
 *
 * The scribe says which module it is about to parse, so its death has a cause
 * to point at; that file is in quarantine from then on (quarantine.h), by whatever
 * module it comes. A new scribe knows nothing, so everything that was sent counts
 * as not sent.
 *
 * Progress is made from the loop only, by scribe_step(); submitting and being
 * freed call nobody.
 */
#include "daemon/scribe/scribe.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <utlist.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/scribe-state.h"
#include "proto/control.h"
#include "proto/scribe.pb-c.h"

static void scribe_step(struct scribe *s);

static void disable(sd_event_source *source)
{
	if (source)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Work to do as soon as the loop is back. */
static void scribe_wake(struct scribe *s)
{
	sd_event_source_set_enabled(s->on_work, SD_EVENT_ONESHOT);
}

static void finish_job(struct scribe *s, struct job *job, const struct scribe_result *result)
{
	s->state = SCRIBE_IDLE;
	disable(s->on_time);
	DL_DELETE(s->jobs, job);
	s->n_jobs--;
	histogram_add(&s->stats.durations, clock_mono_ns() - job->start_ns);
	job->done(result, job->userdata);
	job_free(job);
	if (s->jobs)
		scribe_wake(s);
}

static void fail_job(struct scribe *s, struct job *job, int error)
{
	struct scribe_result result = {.error = error, .name = ""};

	finish_job(s, job, &result);
}

/* Returns the wait status of the process. */
static int scribe_stop(struct scribe *s)
{
	s->on_socket = sd_event_source_disable_unref(s->on_socket);
	s->on_exit = sd_event_source_disable_unref(s->on_exit);
	outbox_reset(&s->outbox);
	disable(s->on_time);
	return spawned_end(&s->process);
}

/* Whoever kills from outside, the kernel for want of memory say, need not mean
 * the module that was being parsed. The second time in one job it may be. */
static bool is_accident(const struct job *job, int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && job->unblamed == 0;
}

/* The scribe named it, and a scribe may say anything. */
static void quarantine_suspect(struct scribe *s, uint32_t id, int status, bool hung)
{
	const struct module *module = module_by_id(s->modules, id);

	if (module)
		quarantine_add(s->quarantine, module, status, hung ? s->job_limit_ns : 0,
			       clock_unix_ns());
}

/* The process has ended, or, if @hung, is to be ended here. */
static void on_death(struct scribe *s, bool hung)
{
	struct job *job = s->state != SCRIBE_IDLE ? s->jobs : NULL;
	uint32_t suspect = s->reading;
	int status;

	status = scribe_stop(s);
	s->state = SCRIBE_IDLE;
	s->reading = 0;
	if (!job)
		return;
	if (!hung && is_accident(job, status))
		suspect = 0;
	if (suspect != 0)
		quarantine_suspect(s, suspect, status, hung);
	if (job_count_death(job, suspect))
		scribe_wake(s);
	else
		fail_job(s, job, -EIO);
}

static void on_finished(struct scribe *s, const Profd__Scribe__Finished *finished)
{
	struct job *job = s->state == SCRIBE_RUNNING ? s->jobs : NULL;
	struct scribe_result result = {
		.error = -finished->error,
		.bytes = finished->bytes,
		.locations = finished->locations,
		.locations_named = finished->locations_named,
		.locations_cached = finished->locations_cached,
	};

	s->reading = 0;
	outbox_count_refused(&s->outbox, finished->files_refused);
	if (!job || job->id != finished->job)
		return;
	if ((result.error == -EACCES || result.error == -EPERM) && job_take_naming(job)) {
		s->state = SCRIBE_IDLE;
		scribe_wake(s);
		return;
	}
	if (result.error == 0 && job->unnamed_fd >= 0)
		result.error = job_give_name(job);
	result.name = !job->name ? "" : job->unnamed_fd >= 0 ? job->name : finished->name;
	s->stats.locations += result.locations;
	s->stats.locations_named += result.locations_named;
	s->stats.locations_cached += result.locations_cached;
	finish_job(s, job, &result);
}

static int receive(struct scribe *s)
{
	_cleanup_(control_packet_done) struct control_packet packet = {};
	Profd__Scribe__FromScribe *message;
	int r;

	r = control_recv(s->process.socket, MSG_DONTWAIT, &packet);
	if (r < 0)
		return r;
	message = profd__scribe__from_scribe__unpack(NULL, packet.n_bytes, packet.bytes);
	if (!message)
		return -EBADMSG;
	switch (message->kind_case) {
	case PROFD__SCRIBE__FROM_SCRIBE__KIND_READING:
		s->reading = message->reading->module;
		break;
	case PROFD__SCRIBE__FROM_SCRIBE__KIND_FINISHED:
		on_finished(s, message->finished);
		break;
	case PROFD__SCRIBE__FROM_SCRIBE__KIND_WANT:
		/* Only what belongs to the job under way. */
		r = s->state != SCRIBE_RUNNING || message->want->job != s->jobs->id
			    ? -EBADMSG
			    : outbox_answer(&s->outbox, s->process.socket, message->want->module,
					    message->want->name);
		break;
	case PROFD__SCRIBE__FROM_SCRIBE__KIND__NOT_SET:
	case _PROFD__SCRIBE__FROM_SCRIBE__KIND__CASE_IS_INT_SIZE:
		r = -EBADMSG;
		break;
	}
	profd__scribe__from_scribe__free_unpacked(message, NULL);
	return r;
}

/* Takes in all there is. A scribe that ends or talks nonsense is ended. */
static void receive_all(struct scribe *s)
{
	int r;

	do {
		r = receive(s);
	} while (r == 0);
	if (r != -EAGAIN)
		on_death(s, r == -EBADMSG);
}

static int handle_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct scribe *s = userdata;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive_all(s);
	if (s->state == SCRIBE_SENDING)
		scribe_step(s);
	return 0;
}

static int handle_exit(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct scribe *s = userdata;

	/* Its last words say whom to blame; then comes the end of file. */
	receive_all(s);
	return 0;
}

static int handle_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct scribe *s = userdata;

	receive_all(s); /* it may have answered in this very moment */
	if (s->state != SCRIBE_IDLE)
		on_death(s, true);
	return 0;
}

static int handle_work(sd_event_source *source, void *userdata)
{
	scribe_step(userdata);
	return 0;
}

static int scribe_start(struct scribe *s)
{
	int r;

	r = spawn_scribe(s->program, &s->process);
	if (r < 0)
		return r;
	s->starts++;
	s->reading = 0;
	r = sd_event_add_io(s->loop, &s->on_socket, s->process.socket, EPOLLIN, handle_socket, s);
	if (r >= 0)
		r = sd_event_add_io(s->loop, &s->on_exit, s->process.pid_fd, EPOLLIN, handle_exit,
				    s);
	if (r < 0)
		scribe_stop(s);
	return min(r, 0);
}

static int begin_job(struct scribe *s, struct job *job)
{
	int r = 0;

	if (s->renew && s->process.pid >= 0) {
		scribe_stop(s);
		s->starts--; /* it did not die */
	}
	s->renew = false;
	if (s->process.pid < 0)
		r = scribe_start(s);
	if (r < 0)
		return r;
	outbox_begin(&s->outbox, job);
	s->state = SCRIBE_SENDING;
	r = sd_event_source_set_time_relative(s->on_time, s->job_limit_ns / 1000);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->on_time, SD_EVENT_ONESHOT);
	return min(r, 0);
}

/* Does what can be done now for the first job. */
static void scribe_step(struct scribe *s)
{
	struct job *job = s->jobs;
	int r = 0;

	if (!job || s->state == SCRIBE_RUNNING)
		return;
	if (s->state == SCRIBE_IDLE)
		r = begin_job(s, job);
	if (r < 0) {
		fail_job(s, job, r);
		return;
	}
	r = outbox_send(&s->outbox, s->process.socket, job);
	if (r == -EPIPE || r == -ECONNRESET) {
		receive_all(s);
		return;
	}
	if (r < 0 && r != -EAGAIN) {
		fail_job(s, job, r);
		return;
	}
	if (r == 0)
		s->state = SCRIBE_RUNNING;
	sd_event_source_set_io_events(s->on_socket, r == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int scribe_new(sd_event *loop, struct module_table *modules, struct keeper *keeper,
	       const char *program, struct scribe **ret_scribe)
{
	struct scribe *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = sd_event_ref(loop);
	s->process = (struct spawned)SPAWNED_NONE;
	s->job_limit_ns = PROFD_SCRIBE_JOB_SECONDS * NSEC_PER_SEC;
	s->modules = modules;
	outbox_init(&s->outbox, modules, keeper);
	s->program = strdup(program);
	r = s->program ? quarantine_new(&s->quarantine) : -ENOMEM;
	s->outbox.quarantine = s->quarantine;
	if (r >= 0)
		r = sd_event_add_time(loop, &s->on_time, CLOCK_MONOTONIC, 0, 0, handle_time, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->on_time, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(loop, &s->on_work, handle_work, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->on_work, SD_EVENT_OFF);
	if (r >= 0)
		r = scribe_start(s);
	if (r < 0) {
		scribe_free(s);
		return r;
	}
	*ret_scribe = s;
	return 0;
}

void scribe_free(struct scribe *s)
{
	struct job *job, *next;

	if (!s)
		return;
	scribe_stop(s);
	sd_event_source_disable_unref(s->on_time);
	sd_event_source_disable_unref(s->on_work);
	DL_FOREACH_SAFE(s->jobs, job, next)
	{
		DL_DELETE(s->jobs, job);
		job_free(job);
	}
	outbox_done(&s->outbox);
	quarantine_free(s->quarantine);
	sd_event_unref(s->loop);
	free(s->program);
	free(s);
}

int scribe_submit(struct scribe *s, struct frozen *frozen, int dir_fd, const char *name,
		  scribe_done_t done, void *userdata)
{
	uint64_t start_ns = clock_mono_ns();
	struct job *job;
	int r;

	r = job_new(frozen, dir_fd, name, &job);
	if (r < 0)
		return r;
	job->start_ns = start_ns;
	job->id = ++s->last_id;
	job->done = done;
	job->userdata = userdata;
	DL_APPEND(s->jobs, job);
	s->n_jobs++;
	if (s->state == SCRIBE_IDLE)
		scribe_wake(s);
	return 0;
}
