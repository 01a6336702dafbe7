/*
 * The comments about ages of live objects ("age of 412 samples in {0x1234 0x5678}:
 * ..") come with addresses; once the profile has names they get one.
 */
#pragma once

#include "proto/pprof.h"
#include "proto/pprof_prune.h"

/* In place of the braces: function, file and line of the first of the locations
 * at these addresses that the profile does not ask readers to drop. @ready: as in
 * pprof_prune(). Returns 0 or -ENOMEM. */
int ages_name(struct pprof *p, const struct pprof_filter *ready);
