/*
 * The processes that have the heap client, as far as the one who asks may see
 * them.
 */
#pragma once

#include "client/http/ask.h"
#include "client/http/path.h"
#include "client/http/reply.h"

/* Asks for them; answer->replies has them, and those that ended. */
void targets_ask(const struct ask *who, bool all, struct answer *ret_answer);

/* The @i-th reply if it is a target of @scope with a client (or any, @all); else NULL. */
const Profd__Target *targets_get(const struct answer *a, size_t i, const struct scope *scope,
				 bool all);

/* The process of @scope if there is exactly one; 0. */
uint32_t targets_only(const struct ask *who, const struct scope *scope, bool all);
