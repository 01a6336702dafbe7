/*
 * What outlives an engine: the starter keeps, by name, the socket that the service
 * manager passed and the heap tables of clients, so that an engine that takes a killed
 * one's place knows them at once, and writes the last heaps of those that died in
 * between. The engine says over a socket of its own what to keep and what no more;
 * an engine finds everything from descriptor 3 on, as from a service manager
 * (sd_listen_fds_with_names()).
 *
 * The engine's messages are not trusted: what is not one is passed over, there is room
 * for PROFD_MAX_STORED_TABLES, and what listens is not given up.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHELF_NAME_BYTES 112

struct shelf;

/* Takes what this process was passed itself (LISTEN_FDS). 0 or -ENOMEM. */
int shelf_new(struct shelf **ret_shelf);
void shelf_free(struct shelf *shelf); /* closes all */
size_t shelf_count(const struct shelf *shelf);

/* One message, if there is one. Returns 0 (also if it was none of ours), -EAGAIN, or
 * -ECONNRESET: the engine has gone. */
int shelf_receive(struct shelf *shelf, int socket);

/* In a child that is about to become an engine: puts everything from 3 on, then @fds,
 * whose new numbers it returns in place, and says so in the environment. All are
 * inherited; others that stood there are closed. 0 or -errno. */
int shelf_hand_over(const struct shelf *shelf, int *fds, size_t n_fds);

/* The engine's side: @name's characters are those of a service manager's FDNAME=. The
 * starter reads at once; where it does not, -EAGAIN comes after a moment. @socket -1:
 * nobody keeps anything: -ENOTCONN. */
int shelf_put(int socket, const char *name, int fd);
int shelf_remove(int socket, const char *name);
