/*
 * What of a service keeps the client from working in it. A unit may hide files,
 * filter system calls and drop variables: most units' protections are no obstacle
 * (the client needs one library to be readable, and a handful of system calls before
 * main), but where they are, the service would have no profiles, or would not start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/profctl/systemctl.h"

#define OBSTACLES_MAX 16

struct obstacle {
	bool prevents; /* there would be no heap profiles; else a note */
	char *text;
};

struct obstacles {
	struct obstacle list[OBSTACLES_MAX];
	size_t n;
};

/* Looks at @unit, whose client would be @library, an absolute path. Returns 0 or -ENOMEM. */
int obstacles_find(const struct unit *unit, const char *library, struct obstacles *ret_obstacles);
void obstacles_done(struct obstacles *obstacles);

/* Whether the file that a service executes can have a library preloaded: 0, or why not
 * in a few words (static). @library is what it is compared with. */
const char *executable_refuses(const char *path, const char *library, bool changes_user);
