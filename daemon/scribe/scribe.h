/*
 * The engine's end of the scribe: a process that symbolizes, encodes,
 * compresses and publishes, working only on the descriptors it is handed
 * (proto/scribe.proto). When it dies or hangs, another is started, and the job
 * is asked again without the module that was being parsed: a profile is never
 * lost, at worst a module in it stays without names.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/proc/module.h"
#include "daemon/profile/freeze.h"
#include "daemon/scribe/histogram.h"

struct keeper;
struct quarantine;
struct scribe;

struct scribe_result {
	int error;	  /* -errno; 0: published */
	const char *name; /* final name; it may differ from the one asked for by its milliseconds.
			   * "" when there was none */
	uint64_t bytes;
	uint32_t locations, locations_named;
	uint32_t locations_cached; /* whose answer was kept from an earlier job */
};

struct scribe_stats { /* of all jobs so far */
	uint64_t locations, locations_named, locations_cached;
	uint64_t restarts;
	uint64_t quarantined;	    /* files that ended a scribe and are not read again */
	uint64_t debug_files;	    /* separate ones handed over */
	uint64_t debug_refused;	    /* of another build, of another owner, or too large */
	struct histogram durations; /* from being submitted to the answer, or to its failure */
};

typedef void (*scribe_done_t)(const struct scribe_result *result, void *userdata);

/* Of every file it names. */
#define SCRIBE_FILE_MODE 0640

/* @program: what to execute, with the single argument "--scribe" and the
 * socket as descriptor 3. */
int scribe_new(sd_event *loop, struct module_table *modules, struct keeper *keeper,
	       const char *program, struct scribe **ret_scribe);
/* Jobs that are pending are dropped and their @done is not called. */
void scribe_free(struct scribe *s);

/* Publishes @frozen (taken over, also on failure) as @name in @dir_fd, or, when
 * @name is NULL, writes it to @dir_fd as to a file, from its beginning. If the
 * name is taken, the stamp in it moves on by milliseconds. The descriptor stays
 * the caller's. Returns 0, and then @done is called once, from the loop, never
 * from here; or -errno. */
int scribe_submit(struct scribe *s, struct frozen *frozen, int dir_fd, const char *name,
		  scribe_done_t done, void *userdata);

/* Names, for module_sweep(), the modules of profiles under way. After a sweep,
 * scribe_tidy() lets go of what is kept for those that were freed. */
void scribe_keep_modules(const struct scribe *s);
void scribe_tidy(struct scribe *s);

/* The next job finds everything out anew: a new process is started for it. */
void scribe_renew(struct scribe *s);

size_t scribe_pending(const struct scribe *s);
uint64_t scribe_finished(const struct scribe *s); /* jobs, however they ended */
void scribe_get_stats(const struct scribe *s, struct scribe_stats *ret_stats);
uint64_t scribe_restarts(const struct scribe *s);
const struct quarantine *scribe_quarantine(const struct scribe *s);

/* The process at work; -1: none at the moment. */
pid_t scribe_pid(const struct scribe *s);

/* How long a job may take; PROFD_SCRIBE_JOB_SECONDS unless set. */
void scribe_set_job_limit(struct scribe *s, uint64_t limit_ns);
/* How much CPU time; PROFD_SCRIBE_JOB_CPU_SECONDS unless set. */
void scribe_set_cpu_limit(struct scribe *s, unsigned seconds);

/* Debug files may be installed, and split units built, after their module was first in a
 * profile. A module that lacks one is looked for again with the first profile that it is in
 * after so long; PROFD_DEBUG_RECHECK_SECONDS unless set. Once found, a file is not looked
 * for again until another scribe is started. */
void scribe_set_debug_recheck(struct scribe *s, uint64_t recheck_ns);

/* The other end: the scribe process itself. Returns an exit status. */
int scribe_main(int socket);
