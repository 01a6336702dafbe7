/*
 * Giving privileges away, for good. Each of these is called once, in a process of one
 * thread, and there is no way back. Return 0 or -errno: then the process must not go on.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* What this process has, as bits. */
uint64_t confine_held_capabilities(void);

/* The keeper: of root's capabilities those that it lives on, so far as there are; what is
 * not among them can never come back. Then no system call but what its verbs need. */
int confine_keeper(void);
int confine_keeper_calls(void);

/* The engine, from its starter on: another user, no capability, none to be gained. */
int confine_engine(uid_t uid, gid_t gid);

/* What needs no privilege, and is no engine's business all the same: looking into other
 * processes, events of its own, networks, new namespaces. These fail from now on, in
 * what it starts, too. */
int confine_engine_calls(void);
