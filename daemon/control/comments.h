/*
 * The comment lines of a profile, which readers show in their header: what was
 * lost, what the trim did, and the reckoning between the profile and RSS.
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/heap/read.h"
#include "daemon/heap/trim.h"

#define COMMENTS_MAX 28

struct comments {
	const char *lines[COMMENTS_MAX]; /* owned */
	size_t n;
};

/* @trim NULL: none was asked for. @note NULL: none. Lines for which there is no
 * memory are left out. */
void comments_of_heap(struct comments *c, const struct heap_profile *profile,
		      const struct trim *trim, const char *trim_line, const char *note);
void comments_of_cpu(struct comments *c, const struct control_context *ctx,
		     const struct window_span *span, const char *note);
void comments_done(struct comments *c);
