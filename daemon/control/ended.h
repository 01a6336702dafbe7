/*
 * Targets that have ended lately: how, when, and where their last heap is. At most
 * PROFD_MAX_ENDED for PROFD_ENDED_SECONDS; when there are too many, those that
 * left in good order go before those that did not. Kept in memory only: a profd
 * that is started anew knows none.
 */
#pragma once

#include "daemon/control/context.h"
#include "proto/control.pb-c.h"

struct ended {
	struct ended *next; /* earlier */
	uint64_t id;
	pid_t pid;
	uid_t uid;
	char comm[PROCESS_COMM_BYTES];
	char *unit; /* NULL: none */
	char how[128];
	bool in_order; /* it left by exit() */
	bool known;    /* the kernel has told its status */
	int status;    /* then, as waitpid() gives it */
	bool out_of_memory;
	int64_t unix_ns;
	uint64_t mono_ns;
	int64_t inuse_bytes;
	bool writing;		     /* its last heap is being written */
	char file[STORE_NAME_BYTES]; /* "": there is none */
};

/* Takes a copy of @ended. Returns its id; 0: out of memory. */
uint64_t ended_add(struct control_context *ctx, const struct ended *ended);

/* Its last heap has been written; @file NULL: it could not be. */
void ended_set_file(struct control_context *ctx, uint64_t id, const char *file);

/* Calls @each with a reply for each, the latest first; @any_uid or those of @uid. */
void ended_each(struct control_context *ctx, bool any_uid, uid_t uid,
		void (*each)(const Profd__Reply *reply, void *userdata), void *userdata);
void ended_free(struct control_context *ctx);
