/*
 * Threads that are asleep, as /proc shows them from outside: for waits that
 * began before anybody watched. Nothing is stopped, and no memory of the thread
 * is read here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/keeper.h"

#define WAITING_FUNCTIONS      24
#define WAITING_FUNCTION_BYTES 64

/* Calls @each for up to @most threads of user space that sleep or are stopped.
 * Returns how many there were beyond that, or -errno. */
int waiting_scan(struct keeper *keeper, size_t most,
		 void (*each)(pid_t pid, pid_t tid, void *userdata), void *userdata);

struct waiting {
	char state; /* as /proc has it: S, D, T, t; R: it runs */
	/* of the kernel, innermost first, as far as we may know: all of them with
	 * CAP_SYS_ADMIN, else one, or none */
	char functions[WAITING_FUNCTIONS][WAITING_FUNCTION_BYTES];
	size_t n_functions;
	long syscall; /* its number; -1: in none, or not known */
	uint64_t user_pc, user_sp; /* where it will go on in user space; 0: not known */
};

/* Returns 0; -EAGAIN: it runs, and *ret_waiting says no more; -ENOENT: it is gone, or
 * may not be looked at; -ESRCH: it will never wait again, for it is the kernel's, or a
 * zombie. */
int waiting_look(struct keeper *keeper, pid_t pid, pid_t tid, struct waiting *ret_waiting);

/* The parsers, each of a whole file. Return 0, -EBADMSG, or as above. */
int waiting_parse_stat(const char *stat, char *ret_state);
int waiting_parse_stack(const char *stack, struct waiting *w); /* adds to it */
int waiting_parse_syscall(const char *syscall, struct waiting *w);
