/*
 * What the scribe process may do, once it has begun.
 */
#pragma once

/* Keeps @socket and the standard descriptors and closes all others, sets limits
 * on memory and descriptors, drops every capability, and forbids every system
 * call but those that working on given descriptors takes. Where the kernel or an
 * outer sandbox has less to drop, that is no failure. Returns 0, or -errno: the
 * filter could not be set, and nothing must be parsed. */
int sandbox_enter(int socket);
