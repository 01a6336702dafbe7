/*
 * What this machine and the service manager let a keeper do, in words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine {
	uint64_t capabilities;				/* that the keeper will have, as bits */
	int perf_paranoid, kptr_restrict, ptrace_scope; /* -1: there is no such setting */
	bool tracefs;
	bool hidden; /* /proc is mounted with hidepid */
};

void machine_look(uint64_t capabilities, struct machine *ret_machine);

/* A line each for what is lost, and why; "" if nothing is. */
void machine_describe(const struct machine *m, char *ret, size_t size);
