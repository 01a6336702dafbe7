/*
 * The processes that have no heap client, and why: what covers them is CPU
 * sampling.
 */
#pragma once

#include "daemon/control/access.h"
#include "daemon/control/context.h"
#include "proto/control.pb-c.h"

/* Calls @each with a target reply for every process that @access may see and
 * that is not attached. Kernel threads are left out. */
void others_each(struct control_context *ctx, const struct access *access,
		 void (*each)(const Profd__Reply *reply, void *userdata), void *userdata);
