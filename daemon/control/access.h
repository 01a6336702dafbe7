/*
 * Who may ask: root, members of group profd, and each user for the processes
 * of their own. Decided from what the kernel says of the peer, once, when it
 * connects.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct access {
	pid_t pid; /* of the peer, as profd sees it */
	uid_t uid;
	bool all; /* sees every process */
};

/* @own: whoever runs profd may see all (a private daemon). Returns 0 or -errno. */
int access_of_peer(int socket, bool own, struct access *ret_access);
