/*
 * What may be asked of a scribe, and set, beside its work.
 */
#include "daemon/scribe/scribe-state.h"

void scribe_keep_modules(const struct scribe *s)
{
	for (const struct job *job = s->jobs; job; job = job->next)
		for (size_t i = 0; i < job->n_modules; i++)
			module_keep_id(s->outbox.modules, job->modules[i]);
}

void scribe_tidy(struct scribe *s)
{
	if (s->state == SCRIBE_IDLE && s->process.pid >= 0)
		outbox_tidy(&s->outbox, s->process.socket);
}

void scribe_renew(struct scribe *s)
{
	s->renew = true;
}

uint64_t scribe_finished(const struct scribe *s)
{
	return s->last_id - s->n_jobs;
}

size_t scribe_pending(const struct scribe *s)
{
	return s->n_jobs;
}

uint64_t scribe_restarts(const struct scribe *s)
{
	return s->starts > 0 ? s->starts - 1 : 0;
}

void scribe_get_stats(const struct scribe *s, struct scribe_stats *ret_stats)
{
	*ret_stats = s->stats;
	ret_stats->restarts = scribe_restarts(s);
	ret_stats->quarantined = quarantine_total(s->quarantine);
	ret_stats->debug_files = s->outbox.separate.found;
	ret_stats->debug_refused = s->outbox.separate.refused;
}

const struct quarantine *scribe_quarantine(const struct scribe *s)
{
	return s->quarantine;
}

pid_t scribe_pid(const struct scribe *s)
{
	return s->process.pid;
}

void scribe_set_job_limit(struct scribe *s, uint64_t limit_ns)
{
	s->job_limit_ns = limit_ns;
}

void scribe_set_debug_recheck(struct scribe *s, uint64_t recheck_ns)
{
	s->outbox.recheck_ns = recheck_ns;
}

void scribe_set_cpu_limit(struct scribe *s, unsigned seconds)
{
	s->outbox.cpu_seconds = seconds;
}
