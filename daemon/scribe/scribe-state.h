/*
 * What the engine's end of the scribe is made of: internal to scribe*.c.
 */
#pragma once

#include "daemon/scribe/job.h"
#include "daemon/scribe/outbox.h"
#include "daemon/scribe/quarantine.h"
#include "daemon/scribe/scribe.h"
#include "daemon/scribe/spawn.h"

enum scribe_state {
	SCRIBE_IDLE,
	SCRIBE_SENDING,
	SCRIBE_RUNNING,
};

struct scribe {
	sd_event *loop;
	char *program;
	struct spawned process;
	sd_event_source *on_socket, *on_exit, *on_time, *on_work;
	uint64_t job_limit_ns;

	enum scribe_state state;
	struct job *jobs; /* the first is the one at work */
	size_t n_jobs;
	uint32_t last_id;
	uint32_t reading; /* the module being parsed; 0: none */
	struct outbox outbox;
	struct quarantine *quarantine;
	struct module_table *modules;
	struct scribe_stats stats;
	uint64_t starts;
	bool renew;
};
