/*
 * Attached clients: the heap tables that profd knows, by process. A table
 * outlives its process until its last heap has been written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/heap/refused.h"
#include "daemon/heap/totals.h"
#include "daemon/keeper/keeper.h"
#include "daemon/proc/process.h"
#include "proto/heap_table.h"

/* Who a table is of, as far as that outlives the process and profd. */
struct heap_identity {
	pid_t pid;
	uid_t uid;
	uint64_t start_ticks; /* with pid, the process's identity */
	uint64_t inode;	      /* of the table */
	char comm[PROCESS_COMM_BYTES];
};

struct heap_client {
	pid_t pid;
	uid_t uid;  /* whose heap it is; root's if that is not certain */
	int pid_fd; /* readable when the process has ended; -1: it had ended before we looked */
	int table_fd;
	uint64_t start_ticks; /* with pid, the process's identity */
	char comm[PROCESS_COMM_BYTES];
	bool learnt; /* what follows is known */
	char *unit;  /* NULL: none */
	bool dead;
	bool unseen;	   /* it ended while there was no profd */
	char *stored_name; /* under which the service manager has its table too; NULL: it has not */
	int64_t died_unix_ns;
	uint64_t rate_bytes;
	int64_t start_unix_ns; /* when the client started */
	char *oom_path;	       /* the count of its control group (ending.h); NULL: there is none */
	uint64_t oom_kills;    /* as it stands with nobody's end left to explain */
	struct heap_cpu_seen *cpu_seen; /* cpu.h; NULL: nothing yet */
	struct heap_copy_labels labels; /* labels.h; those read so far, */
	uint64_t labels_drain;		/* and in which drain */
	bool cpu_confined;		/* it has been counted */
	unsigned waits_users;		/* of heap_waits_start(), */
	uint64_t waits_until_ns;	/* and until when the last of them wants it */
	unsigned trims;			/* answered so far: the number in the trim line */

	struct heap_totals counted; /* as its table was read last */

	uint32_t *modules; /* ids of those that its table named when it was read last */
	size_t n_modules;

	/* for the table of clients */
	unsigned users;
	bool removed;
	struct heap_client *prev, *next;
	void *watch; /* whoever waits for its end; let go of with watch_free on removal */
	void (*watch_free)(void *watch);
};

struct heap_clients;

int heap_clients_new(struct keeper *keeper, struct heap_clients **ret_clients);
void heap_clients_free(struct heap_clients *clients);

/* Takes over @table_fd (also on failure) as the table of @pid. Returns 0;
 * -EPERM, -EBADMSG, -EPROTONOSUPPORT as heap_table_check(); -ENOSPC: there are
 * PROFD_MAX_CLIENTS; -EEXIST: the process's table is known, and it is this one,
 * or has been refused for its version before. */
int heap_clients_add(struct heap_clients *clients, pid_t pid, uid_t uid, int table_fd,
		     struct heap_client **ret_client);

/* As heap_clients_add(), of a table that an earlier profd had. Whose it is has been
 * known since; the process may have ended, and its pid may be another's now.
 * -EBADMSG also: it is not the table that @id names. */
int heap_clients_restore(struct heap_clients *clients, const struct heap_identity *id, int table_fd,
			 struct heap_client **ret_client);

/* -errno: the table cannot be asked. */
int heap_client_identity(const struct heap_client *client, struct heap_identity *ret_id);

/* Those that were refused for their version (heap_clients_add() notes them). */
struct heap_refusals *heap_clients_refused(struct heap_clients *clients);

/* Reads what the process is part of, once. Not done when it attaches, as most of
 * those that end soon are never asked after. */
void heap_client_learn(struct heap_clients *clients, struct heap_client *client);
void heap_clients_learn(struct heap_clients *clients); /* of all */

/* Takes the client off the table. It is freed when its last user lets go. */
void heap_clients_remove(struct heap_clients *clients, struct heap_client *client);
/* False as soon as its process has ended: its pid may be another's from then on. */
bool heap_client_is_running(const struct heap_client *client);
struct heap_client *heap_client_ref(struct heap_client *client);
struct heap_client *heap_client_unref(struct heap_client *client); /* returns NULL */

/* A live one before a dead one. */
struct heap_client *heap_clients_find(struct heap_clients *clients, pid_t pid);
struct heap_client *heap_clients_first(struct heap_clients *clients); /* then ->next */
/* Names, for module_sweep(), the modules that clients' tables speak of: the file
 * of one may not be had again when the client's last heap is written. */
void heap_clients_keep_modules(const struct heap_clients *clients, struct module_table *modules);
size_t heap_clients_count(const struct heap_clients *clients);
/* What their tables count, and those of clients removed did: never less than before. */
void heap_clients_totals(struct heap_clients *clients, struct heap_totals *ret_totals);

/* Looks through /proc for tables of clients that were started for a profd at
 * @socket_path and attached to an earlier one, or to none, and hands each to @found,
 * which takes over the descriptor.
 * Returns the number found, or -errno: this machine does not let us. */
int heap_clients_scan(struct heap_clients *clients, const char *socket_path,
		      void (*found)(pid_t pid, uid_t uid, int table_fd, void *userdata),
		      void *userdata);
