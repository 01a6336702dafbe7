/*
 * The command line of `profctl run`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/profctl/profctl.h"

#define RUN_TIMERS_MAX_HZ 1000

enum run_children {
	CHILDREN_UNSAID, /* CPU time is of all, the heap of the command */
	CHILDREN_IN,	 /* both are of the command and all that it starts */
	CHILDREN_OUT,	 /* of the command alone */
};

/* Strings are of the command line. */
struct run_options {
	const char *output; /* directory; NULL where files are named */
	const char *cpu, *heap, *offcpu, *block,
		*mutex;			   /* names to be expanded; NULL: not wanted */
	const char *event;		   /* NULL: default */
	enum run_children children;
	bool timers;			   /* --event timers */
	const char *http;		   /* address to serve on; NULL: none */
	uint64_t every_ns;		   /* 0: only at the end */
	uint64_t frequency_hz, rate_bytes; /* 0: default */
	char **argv;			   /* the command */
};

extern const char run_options_help[];

/* Returns ARGS_END, or ARGS_BAD or ARGS_HELP (client/profctl/args.h). */
int run_options_parse(struct profctl *ctl, int argc, char **argv, struct run_options *ret_options);
