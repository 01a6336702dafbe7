/*
 * fork(): the child gets a table of its own, with what it inherited.
 */
#pragma once

/* Once, at start, after the allocator has registered its own handlers, which
 * then run before ours in the child. */
void fork_init(const char *socket_path);

/* The socket to profd, as it was then; "": its name is too long. */
const char *fork_socket_path(void);
