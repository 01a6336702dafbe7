/*
 * The service manager's file descriptor store: clients' tables lie there while
 * profd runs, and come back when it is started anew, so that a table outlives
 * profd and its process, both. A table's name says whose it is:
 *
 *	heap-PID-UID-START-INODE-COMM
 *
 * START with PID is the process's identity, INODE the table's; COMM is in
 * hexadecimal, since a process may call itself anything. All names together are
 * one variable of the environment, hence the limits on length and number.
 *
 * What comes back is checked as if a stranger had sent it: only a name that is
 * spelt as fdstore_name() spells it is one, and the table has to be the one it
 * names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/heap/client.h"

#define FDSTORE_NAME_BYTES 112

void fdstore_name(const struct heap_identity *id, char ret[FDSTORE_NAME_BYTES]);

/* -EBADMSG: not such a name. */
int fdstore_parse(const char *name, struct heap_identity *ret_id);

/* Puts in, takes out. 0 or -errno; -ENOTCONN: there is no service manager. */
int fdstore_put(const struct heap_identity *id, int fd);
int fdstore_remove(const char *name);

/* What the service manager handed over when it started us. An engine that takes the
 * place of another one, of the same start, finds something else in a table's stead:
 * that is passed over, and stays in the store. */
struct fdstore_passed {
	int fd;
	char *name;
};

struct fdstore_handover {
	int socket; /* to listen at; -1: none */
	struct fdstore_passed *tables;
	size_t n_tables;
	uint64_t refused; /* that were neither: they have been closed */
};

/* To be asked once; later there is nothing. 0 or -ENOMEM. */
int fdstore_take_over(struct fdstore_handover *ret_handover);
void fdstore_handover_done(struct fdstore_handover *handover);
