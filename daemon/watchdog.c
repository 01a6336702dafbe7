#include "daemon/watchdog.h"

#include "profd/base.h"
#include "profd/limits.h"

/* A job is asked twice before a file is blamed, and a third time without it. */
#define JOBS_WITHIN_NS (4 * PROFD_SCRIBE_JOB_SECONDS * NSEC_PER_SEC)

static bool scribe_is_stuck(struct watchdog *w, const struct watchdog_facts *f)
{
	if (f->jobs == 0 || f->finished != w->finished || w->waiting_ns == 0)
		w->waiting_ns = f->jobs > 0 ? f->now_ns : 0;
	w->finished = f->finished;
	return w->waiting_ns > 0 && f->now_ns - w->waiting_ns > JOBS_WITHIN_NS;
}

const char *watchdog_judge(struct watchdog *w, const struct watchdog_facts *f)
{
	bool stuck = scribe_is_stuck(w, f);

	if (f->sampling && f->now_ns - min(f->drained_ns, f->now_ns) > w->every_ns)
		return "the rings are not drained";
	return stuck ? "profiles are waiting and none is written" : NULL;
}
