/*
 * Why a process that has the client has no table, as far as it can be seen from
 * outside: its environment, its limits, a filter of system calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

void passive_describe(struct keeper *keeper, pid_t pid, char *ret, size_t size);

/* ---- the parts, to be shown any text */

/* @text: of the environment, as KEEPER_ENVIRON gives it, @n bytes: NAME=VALUE, each with a
 * zero behind it. */
bool passive_is_disabled(const char *text, size_t n);

/* The soft limit of that name in /proc/PID/limits, if there is one. */
bool passive_parse_limit(const char *limits, const char *name, uint64_t *ret);
