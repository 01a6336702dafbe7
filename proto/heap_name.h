/*
 * The name of a heap table's memfd, which /proc/PID/maps shows to everyone who may
 * look: it says which profd the client belongs to. A daemon that looks through the
 * machine for clients of an earlier one takes those that were started for its own
 * socket, and leaves alone those of another profd that runs beside it: two that
 * wrote requests into one table would disturb each other.
 *
 * HEAP_TABLE_NAME alone stands for the default socket, so that clients of the system's
 * profd are found whatever the versions; else "-" and eight hexadecimal digits
 * follow, the 32-bit FNV-1a hash of the path (RFC 9923): offset basis 0x811c9dc5, and
 * for each byte h = (h ^ byte) * 0x01000193. Two paths that share a hash cost what two
 * daemons at one socket would.
 */
#pragma once

#include <stdbool.h>

#define DEFAULT_SOCKET_PATH "/run/profd/profd.sock"
#define HEAP_NAME_BYTES	    20 /* with the terminator */

/* Of the client that was told @socket_path. */
void heap_name_of(const char *socket_path, char ret_name[HEAP_NAME_BYTES]);

/* Whether a mapping whose path is @path, as /proc has it, is a table's; @name: of
 * that name only, NULL: of any. */
bool heap_name_is_mapped(const char *path, const char *name);
