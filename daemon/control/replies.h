/*
 * What a peer is told of the files of its request, as they come. The userdata of a series
 * with these handlers is the peer.
 */
#pragma once

#include "daemon/control/peer.h"
#include "daemon/control/series.h"

extern const struct series_handlers replies_of_series;

/* Its parts, for a series that has to do more at its end. */
void replies_on_file(const struct dump_result *result, uint32_t index, void *userdata);
void replies_on_missing(const char *type, pid_t pid, const char *comm, const char *why,
			uint32_t index, void *userdata);
void replies_on_done(uint32_t files, uint32_t missing, void *userdata);

/* A file that is there already: nobody is charged for it. */
void replies_file(struct peer *p, const struct dump_result *result, uint32_t index);
