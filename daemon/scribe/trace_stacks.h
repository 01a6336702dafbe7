/*
 * The stacks of a trace as a tree: frames that stacks have in common, from the root, are
 * there once. That is how the trace event format refers to a stack: by its leaf.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/gzip.h"
#include "proto/pprof.h"

struct trace_stacks;

/* Of all samples of @p, which has names and must outlive it. Returns 0 or -ENOMEM. */
int trace_stacks_new(const struct pprof *p, struct trace_stacks **ret_stacks);
void trace_stacks_free(struct trace_stacks *stacks);

/* The leaf of sample @i's stack; 0: it has none. */
uint32_t trace_stacks_leaf(const struct trace_stacks *stacks, size_t i);

const char *trace_stacks_function(const struct trace_stacks *stacks, uint32_t node);
bool trace_stacks_is_kernel(const struct trace_stacks *stacks, uint32_t node);
uint32_t trace_stacks_caller(const struct trace_stacks *stacks, uint32_t node); /* 0: none */

/* Why the kernel lets it wait: its innermost function that is not the scheduler's, and the
 * name of the system call; NULL: not known. */
const char *trace_stacks_reason(const struct trace_stacks *stacks, uint32_t leaf);
const char *trace_stacks_syscall(const struct trace_stacks *stacks, uint32_t leaf);

/* The object `stackFrames`, and a stack as an array of names, leaf first. */
void trace_stacks_put_all(const struct trace_stacks *stacks, struct gzip_writer *w);
size_t trace_stacks_put(const struct trace_stacks *stacks, uint32_t leaf, struct gzip_writer *w);
