/*
 * The program's environment, as far as it speaks to us.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct environment {
	bool disabled;		 /* PROFD_DISABLE=1 */
	bool no_trim;		 /* PROFD_TRIM=0 */
	uint64_t rate_bytes;	 /* PROFD_RATE, or the default */
	bool rate_invalid;	 /* it could not be read */
	const char *socket_path; /* PROFD_SOCKET, or the default */
	uint32_t cpu_hz;	 /* PROFD_CPU: sample CPU time by timers; 0: do not */
	uint64_t block_rate_ns;	 /* PROFD_BLOCK: as in struct heap_waits; 0: not from the start */
	uint64_t mutex_fraction; /* PROFD_MUTEX: likewise */
};

/* What it was when it was first asked for. NULL: it is too early, the C library has
 * none yet. */
const struct environment *environment_get(void);
