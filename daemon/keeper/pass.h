/*
 * One message over a SOCK_SEQPACKET socket, and at most one descriptor beside it:
 * internal to the keeper's processes.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* @fd -1: none. Never raises SIGPIPE. Returns 0 or -errno. */
int pass_send(int socket, struct iovec *parts, size_t n_parts, int fd, int flags);

/* Returns the bytes, as recvmsg() does, or -errno. *ret_fd is the caller's, or -1; of
 * several descriptors none is taken. */
ssize_t pass_receive(int socket, void *ret, size_t size, int flags, int *ret_fd);
