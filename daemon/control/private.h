/*
 * The verbs of one command's own daemon, `watch` and `finish`. To any other they are
 * refused.
 */
#pragma once

#include "daemon/control/peer.h"

/* Each answers @p, now or later. */
void private_watch(struct peer *p, const Profd__Watch *q);
void private_finish(struct peer *p, const Profd__Finish *q);
