/*
 * What of a span of samples a user who is not privileged may see. Every sample
 * carries whose it was when it was taken (proc/sample.h), so neither the pid of
 * a process that has ended, which another has now, nor a setuid program shows
 * anybody else's:
 *
 * - the samples of programs that were the user's own, by process_owner();
 * - of these not those of a process that by now has become somebody else's or
 *   has forbidden to be looked into;
 * - no kernel frames, neither addresses nor names, unless the machine lets its
 *   users sample the kernel and see its addresses anyway: perf_event_paranoid
 *   is 1 or less and kptr_restrict is 0.
 */
#pragma once

#include "daemon/control/context.h"
#include "daemon/profile/aggregate.h"

struct sight {
	uint32_t *lives; /* sorted; struct process's */
	size_t n_lives;
	bool kernel;
};

/* Of @samples what @uid may see, who is not root; of @pid only, if it is not 0.
 * Returns 0 or -ENOMEM. */
int sight_init(struct control_context *ctx, uid_t uid, pid_t pid, const struct aggregate *samples,
	       struct sight *ret_sight);
void sight_done(struct sight *s);

/* Whether @uid, who is not root, may see into process @pid now. -EACCES, or as
 * process_read_owner(). */
int sight_check_process(struct control_context *ctx, uid_t uid, pid_t pid);

/* ---- the part to be shown any text */

bool sight_shows_kernel(const char *perf_event_paranoid, const char *kptr_restrict);
