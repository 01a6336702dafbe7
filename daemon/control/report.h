/*
 * What `list` and `status` say, as replies. The structs own nothing outside
 * themselves but pointers into the daemon's state: send, then forget.
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/scribe/histogram.h"
#include "profd/limits.h"
#include "proto/control.pb-c.h"

#define REPORT_COUNTERS_MAX 112
#define REPORT_ROLES	    4
#define REPORT_LOST_MAX	    16

struct report_target {
	Profd__Reply reply;
	Profd__Target target;
	char reason[256];
};

void report_target(struct control_context *ctx, const struct heap_client *client,
		   struct report_target *ret_t);

/* A process whose client was refused. */
void report_refused(struct control_context *ctx, const struct heap_refusal *refusal,
		    struct report_target *ret_t);

struct report_state {
	Profd__Reply reply;
	Profd__State state;
	Profd__Counter counters[REPORT_COUNTERS_MAX];
	Profd__Counter *pointers[REPORT_COUNTERS_MAX];
	Profd__Quarantined quarantined[PROFD_MAX_QUARANTINED];
	Profd__Quarantined *quarantined_pointers[PROFD_MAX_QUARANTINED];
	struct keeper_description keeper;
	Profd__Role roles[REPORT_ROLES];
	Profd__Role *role_pointers[REPORT_ROLES];
	char *lost[REPORT_LOST_MAX];
	Profd__Histogram symbolizing;
	Profd__Histogram *histograms[1];
	double bounds[HISTOGRAM_BOUNDS];
	uint64_t counts[HISTOGRAM_BOUNDS + 1];
};

/* @all: for one who may know of other users' files. */
void report_state(struct control_context *ctx, bool all, struct report_state *ret_s);
