/*
 * A trace as a file: Chrome's trace event format (a JSON object with `traceEvents`), gzip'd,
 * which Perfetto and Chrome open. Times are microseconds since the trace began, to the
 * nanosecond, and events stand in order of time:
 *
 *   B, E   slices of each thread, never nested: "running" (args: cpu), "waiting" (args, as
 *          far as known: reason, the kernel's function that it waits in; syscall; function
 *          and stack) and "ready": it could run, and another has the CPU
 *   i      samples of CPU time, category "sample", named by their function (args: function,
 *          stack); snapshots that were taken meanwhile; "exit", the ends of threads
 *   M      names of processes and threads, and units; once more when they change
 *
 * `sf` refers to `stackFrames`, which has all stacks. `otherData` says when the trace began
 * and what is missing from it.
 */
#pragma once

#include "proto/pprof.h"

/* @p has names; @events_fd is read from its beginning, and refers to the samples of @p
 * (profile/trace.h). Returns 0; -EBADMSG: these are no events; or -errno. */
int trace_write(const struct pprof *p, int events_fd, int fd);
