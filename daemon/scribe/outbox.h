/*
 * What one scribe has been sent, and sending it the rest: the modules that a
 * job needs, then the job.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/module.h"
#include "daemon/scribe/job.h"
#include "daemon/scribe/quarantine.h"
#include "daemon/scribe/separate.h"

struct outbox_module;

struct outbox {
	struct module_table *modules;
	struct keeper *keeper;
	int kallsyms_fd;		     /* -1: not opened */
	struct outbox_module *states;	     /* by id, of modules that jobs needed */
	size_t n_sent, max_sent;	     /* descriptors */
	size_t next;			     /* of the job's modules, the next to be looked at */
	const struct quarantine *quarantine; /* whose files are not sent */
	struct separate_counts separate;
	unsigned cpu_seconds; /* of a job */
	uint64_t recheck_ns;  /* see scribe_set_debug_recheck() */
	unsigned n_wants;     /* files of split units, in this job */
};

void outbox_init(struct outbox *outbox, struct module_table *modules, struct keeper *keeper);
void outbox_done(struct outbox *outbox);

void outbox_reset(struct outbox *outbox);		      /* a new scribe has seen nothing */
void outbox_count_refused(struct outbox *outbox, uint64_t n); /* by a scribe */

void outbox_begin(struct outbox *outbox, const struct job *job);

/* Lets go of what is known about modules that have been freed, and has the scribe
 * forget them. Not while a job is being sent. As much as the socket takes. */
void outbox_tidy(struct outbox *outbox, int socket);

/* Goes on where it stopped. Returns 0 when all is sent, the job included;
 * -EAGAIN: the socket is full; other errors. */
int outbox_send(struct outbox *outbox, int socket, const struct job *job);

/* What the scribe asked for in the middle of a job: the file @name of split units of the
 * module @id. Returns 0; -EBADMSG: there is nothing to ask for; other errors of sending. */
int outbox_answer(struct outbox *outbox, int socket, uint32_t id, const char *name);
