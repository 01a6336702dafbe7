/*
 * CPU time by per-thread timers, for `profctl run` where profd may not use perf
 * events: it sets PROFD_CPU to the samples a second. Without it all this is off,
 * and the interposed functions of cpu_hooks.c are tail calls.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum cpu_state {
	CPU_NEW,
	CPU_STARTING,
	CPU_ON,
	CPU_OFF, /* for good */
};

extern uint32_t cpu_state __attribute__((visibility("hidden"))); /* atomic */

static inline bool cpu_is_on(void)
{
	return __atomic_load_n(&cpu_state, __ATOMIC_ACQUIRE) == CPU_ON;
}

/* The signal that is ours; 0: none. */
extern int cpu_signal __attribute__((visibility("hidden")));

/* Whether to sample, and with what signal. At the first thread that is started,
 * or from our constructor: the first call decides. */
void cpu_init(void);

/* Gives the calling thread a timer, unless it has one. It ends with the thread.
 * Makes system calls. */
void cpu_begin_thread(void);

/* At exit(), for the thread that calls it. */
void cpu_end_thread(void);

/* In a fork's child, once it has a table: timers are not inherited. */
void cpu_after_fork(void);

/* The program is about to confine itself, and a filter may kill for what a handler
 * needs: all timers are deleted, and none is made any more. */
void cpu_leave(void);

/* ---- cpu_hooks.c */

void cpu_hooks_init(void); /* before main */

/* Installs @handler for @signal past our own hook. False: the program has it. */
bool cpu_hooks_install(int signal, void (*handler)(int, siginfo_t *, void *));

/* A signal of our number that is not from our timers: does what the program
 * asked for. */
void cpu_hooks_pass(int signal, siginfo_t *info, void *context);
