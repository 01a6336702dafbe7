/*
 * Clients' tables while profd runs lie in two more places, so that a table outlives
 * profd and its process, both: on the starter's shelf (shelf.h), from where the next
 * engine has them when one was killed, and in the service manager's file descriptor
 * store, from where they come back when the service is started anew. A table's name
 * says whose it is:
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
#include "daemon/keeper/shelf.h"

#define FDSTORE_NAME_BYTES SHELF_NAME_BYTES

void fdstore_name(const struct heap_identity *id, char ret[FDSTORE_NAME_BYTES]);

/* -EBADMSG: not such a name. */
int fdstore_parse(const char *name, struct heap_identity *ret_id);

/* Puts in, takes out, at both places; @shelf: the socket, or -1. 0: at one of them at
 * least, or -errno; -ENOTCONN: there is neither. */
int fdstore_put(int shelf, const struct heap_identity *id, int fd);
int fdstore_remove(int shelf, const char *name);

/* What we found when we were started. */
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
int fdstore_take_over(int shelf, struct fdstore_handover *ret_handover);
void fdstore_handover_done(struct fdstore_handover *handover);
