/*
 * What the scribe process may do, once it has begun.
 */
#pragma once

/* Keeps @socket and the standard descriptors and closes all others, sets limits
 * on memory and descriptors, drops every capability. Best effort where the
 * kernel or an outer sandbox says no: less to drop is no failure. */
void sandbox_enter(int socket);
