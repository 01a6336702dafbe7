/*
 * The scribe's messages to the engine.
 */
#pragma once

#include <stdint.h>

#include "proto/scribe.pb-c.h"

struct asker {
	int socket;
	uint32_t job; /* the one under way */
};

/* Waits while the engine is busy. Returns 0 or -errno. */
int asker_send(struct asker *asker, const Profd__Scribe__FromScribe *message);

/* Whom to blame from here on; 0: nobody. */
void asker_reading(struct asker *asker, uint32_t module);

/* A file of split units of @module (splits.h). A descriptor or -errno. */
int asker_open_split(struct asker *asker, uint32_t module, const char *name);
