/*
 * Who may ask: root, members of group profd, and each user for the processes
 * of their own. Decided from what the kernel says of the peer, once, when it
 * connects.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct access {
	pid_t pid; /* of the peer, as profd sees it */
	uid_t uid;
	bool all; /* sees every process */
};

/* Group profd, looked up anew after a while. Zero at first. */
struct access_group {
	uint64_t read_mono_ns;
	bool known;
	gid_t gid;
};

/* @own: whoever runs profd may see all (a private daemon). What is asked is what the
 * kernel noted when the peer connected, groups too; nothing is looked up by its pid,
 * which may be another's by now. Returns 0 or -errno. */
int access_of_peer(int socket, bool own, struct access_group *group, struct access *ret_access);

/* Leaves no more of it than user @uid has. False: that is not for the peer to ask. */
bool access_narrow(struct access *access, uid_t uid);
