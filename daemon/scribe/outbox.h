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

struct outbox_module { /* by id */
	bool sent;
	bool quarantined;
	uint32_t last_job;	 /* that needed it */
	struct timespec changed; /* a perf-map, when it was sent */
	uint64_t bytes;
};

struct outbox {
	struct module_table *modules;
	struct keeper *keeper;
	int kallsyms_fd; /* -1: not opened */
	struct outbox_module *states;
	size_t n_states;
	size_t n_sent, max_sent;
	size_t next; /* of the job's modules, the next to be looked at */
	uint64_t quarantined;
};

void outbox_init(struct outbox *outbox, struct module_table *modules, struct keeper *keeper);
void outbox_done(struct outbox *outbox);

void outbox_reset(struct outbox *outbox); /* a new scribe has seen nothing */
void outbox_quarantine(struct outbox *outbox, uint32_t module);

void outbox_begin(struct outbox *outbox, const struct job *job);

/* Goes on where it stopped. Returns 0 when all is sent, the job included;
 * -EAGAIN: the socket is full; other errors. */
int outbox_send(struct outbox *outbox, int socket, const struct job *job);
