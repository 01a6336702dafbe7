/*
 * Waits: which threads were off the CPU of their own accord, for how long, and
 * where. Fed with the scheduler's switches, in order of time, and with the
 * stacks of some of those that were switched out; hands over waits that have
 * ended. It knows neither perf nor processes.
 *
 * A thread that was preempted does not wait: it could run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/proc/module.h"
#include "daemon/proc/sample.h"

/* Waits are told apart by length, each class four times as long as the one
 * before: class 0 is below 4 us, the last from 1,100 s on. */
#define WAIT_CLASSES 16

enum wait_stack {
	WAIT_STACK_NONE,    /* not sampled */
	WAIT_STACK_SAMPLED, /* as it was when the wait began */
	WAIT_STACK_LOOKED,  /* seen while it went on: what /proc and its memory tell */
	WAIT_STACK_BEFORE,  /* not known: it began before anybody watched */
};

/* One wait, or, of those without a stack, all of a thread and a class. */
struct wait {
	pid_t pid, tid;
	enum wait_stack stack;
	const struct frame *frames; /* with SAMPLED and LOOKED; holds for the call */
	size_t n_frames;
	uint64_t weight; /* SAMPLED: so many switches were there to a stack */
	unsigned class;
	uint64_t count, ns;
	bool chance;  /* whether it has a stack, or all of it, was left to chance */
	bool goes_on; /* a part of a wait that has not ended; its count is 0 */
};

struct wait_table;

int wait_table_new(void (*on_wait)(const struct wait *w, void *userdata), void *userdata,
		   struct wait_table **ret_table);
void wait_table_free(struct wait_table *t);

/* The stack of a thread that is being switched out, just before that is said by
 * wait_on_out(). Copied. */
struct wait_origin {
	pid_t pid, tid;
	uint64_t time_ns, weight;
	const struct frame *frames;
	size_t n_frames;
};
void wait_on_stack(struct wait_table *t, const struct wait_origin *origin);

void wait_on_out(struct wait_table *t, pid_t pid, pid_t tid, bool preempted, uint64_t time_ns);
void wait_on_in(struct wait_table *t, pid_t tid, uint64_t time_ns);
void wait_on_start(struct wait_table *t, pid_t tid); /* a new thread has this id */
void wait_on_exit(struct wait_table *t, pid_t tid, uint64_t time_ns);

/* Records are missing, from this time on until now. */
void wait_on_lost(struct wait_table *t, uint64_t since_ns);

/* It was seen asleep, and nothing has been heard of it: it waits since
 * @since_ns at least. Whatever a later record says of it counts more. */
void wait_on_found(struct wait_table *t, pid_t pid, pid_t tid, uint64_t since_ns);

/* Threads that wait without a stack since before @before_ns: up to @room of
 * them, not the same ones each time if there are more. Returns their number. */
struct wait_thread {
	pid_t pid, tid;
	bool before; /* WAIT_STACK_BEFORE */
};
size_t wait_list_unknown(struct wait_table *t, uint64_t before_ns, struct wait_thread *ret,
			 size_t room);

/* What was seen of such a thread at @time_ns. The wait keeps it, unless a record
 * says that it had ended by then. @whole: the stack reaches its beginning. */
struct wait_look {
	pid_t tid;
	uint64_t time_ns;
	const struct frame *frames;
	size_t n_frames;
	bool whole;
};
void wait_on_look(struct wait_table *t, const struct wait_look *look);

/* Nothing more is to be said of this thread, until it ends. */
void wait_ignore(struct wait_table *t, pid_t pid, pid_t tid);

/* Hands over all there is up to @time_ns: waits that go on in part. */
void wait_flush(struct wait_table *t, uint64_t time_ns);

struct wait_stats {
	uint64_t threads;	  /* known now */
	uint64_t threads_refused; /* waits of threads beyond PROFD_MAX_WAITING */
	uint64_t ends_lost;	  /* waits whose end is not known, for records are missing */
};
void wait_stats(const struct wait_table *t, struct wait_stats *ret_stats);

/* Names, for module_sweep(), the modules that stacks of waits are of. */
void wait_keep_modules(const struct wait_table *t, struct module_table *modules);

unsigned wait_class(uint64_t ns);
