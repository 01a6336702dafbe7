/*
 * What root does before it lets go: who the engine is going to be, and the
 * directories that it is going to own.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct engine_user {
	uid_t uid;
	gid_t gid;
};

/* @name: a user's name, or "UID:GID"; NULL: `profd`, or, where there is no such user,
 * numbers that nobody else has. Never root. -errno: one line in @why. */
int privilege_find_user(const char *name, struct engine_user *ret_user, char *why, size_t why_size);

/*
 * Makes @path the user's own, creating it with @mode if need be. A directory of root's
 * is given away only if there is nothing in it but what profd has put there: profiles
 * and its socket. Links are not followed. -errno: one line in @why.
 */
int privilege_give_directory(const char *path, mode_t mode, const struct engine_user *user,
			     char *why, size_t why_size);
