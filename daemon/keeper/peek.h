/*
 * Reading another process's memory without ever waiting for it. Memory may be
 * served by a process of user space (FUSE, userfaultfd), and then takes as long
 * to read as that one likes; so a child reads, and is given up when it takes too
 * long. The child also stops a thread for a moment, where its registers are wanted: if
 * it is given up, or dies, the kernel lets the thread go on.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sys/user.h>

#include "profd/base.h"

#define PEEK_BYTES 16384

struct peek;

int peek_new(struct peek **ret_peek); /* 0 or -errno */
void peek_free(struct peek *p);
void peek_rest(struct peek *p); /* no child until the next call */

/* Reads up to @bytes (at most PEEK_BYTES) at @address of @pid. Returns their number,
 * up to the first that cannot be read, or -errno; -ETIMEDOUT: it took too long; then
 * nobody is read from for PEEK_REST_NS, and this process not soon again: -EBUSY.
 * *ret_bytes holds until the next call. */
#define PEEK_REST_NS (1 * NSEC_PER_SEC)
ssize_t peek_read(struct peek *p, pid_t pid, uint64_t address, size_t bytes,
		  const uint8_t **ret_bytes);

/*
 * Stops the thread @tid, reads its registers and its stack from the stack pointer on, and
 * lets it go on: some 50 us. A thread that runs, and one that waits in the kernel, stop
 * alike; the latter's wait begins anew then, or ends with EINTR, as the system call
 * has it: the caller chooses. One that waits where no signal reaches it does not stop.
 *
 * Returns the number of bytes as above, or -errno: -ESRCH: no such thread; -EPERM: it is
 * traced already, or may not be; -EAGAIN: it did not stop within PEEK_STOP_MS;
 * -EBUSY: PEEK_STOPS have been stopped within this second, or as above; -ENOTSUP: of 32
 * bits.
 */
#define PEEK_STOP_MS 20
#define PEEK_STOPS   2000
struct peek_thread {
	struct user_regs_struct regs;
	uint64_t stopped_ns;
};
ssize_t peek_stop(struct peek *p, pid_t tid, struct peek_thread *ret_thread,
		  const uint8_t **ret_bytes);
