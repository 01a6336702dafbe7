/*
 * Which local user is at the other end of a connection, as the kernel says. A
 * loopback port can be reached by everyone on the machine: knowing who it is
 * lets profd-http show them what the control socket would, and no more.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct identity {
	bool local; /* it is a user of this machine, and who is known */
	uid_t uid;
	bool group; /* a member of group profd */
};

/* @fd: a connected socket, of UNIX or IP. Who comes from elsewhere, or cannot be
 * told, is not local. */
void identity_of(int fd, struct identity *ret);
