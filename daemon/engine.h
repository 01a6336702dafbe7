/*
 * The engine: owns all state, one event loop, one thread. It joins the rooms,
 * which do not know one another: records with processes, stacks with windows,
 * clients with their tables, requests with all of these.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/keeper/keeper.h"

struct engine;

/* Starts everything and opens the socket. @keeper is taken over, also on failure; when
 * it is another process and that ends, so does the engine; so is @shelf, a socket to
 * where clients' tables outlive the engine (shelf.h; -1: none). -errno: one line in
 * @why. @config stays the caller's and must outlive the engine. */
int engine_new(const struct config *config, struct keeper *keeper, int shelf,
	       struct engine **ret_engine, char *why, size_t why_size);
void engine_free(struct engine *e);

/* One line about what is being sampled, for the journal and for systemd. */
void engine_describe(const struct engine *e, char *ret, size_t size);

/* Runs until a signal or the end of a private daemon's peer. 0 or -errno. */
int engine_run(struct engine *e);
