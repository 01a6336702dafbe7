/*
 * The verb `list`: those that are attached, those that were refused, with @all the
 * others and why, and those that have ended.
 */
#pragma once

#include "daemon/control/peer.h"

void list_answer(struct peer *p, bool all);
