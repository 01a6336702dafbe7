/*
 * Options of commands: getopt_long() with profctl's own messages, and the
 * options that every command takes (--json, --socket, --help).
 */
#pragma once

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>

#include "client/profctl/profctl.h"

enum {
	ARGS_END = -1,	/* no more options: optind stands at the first argument */
	ARGS_BAD = -2,	/* reported: exit PROFCTL_USAGE */
	ARGS_HELP = -3, /* help was printed: exit PROFCTL_DONE */
	/* Values of long options without a letter start here. */
	ARGS_JSON = 0x100,
	ARGS_SOCKET,
	ARGS_VERSION,
	ARGS_FIRST,
};

/* To be put at the end of every command's options. */
#define ARGS_COMMON                                                                                \
	{"json", no_argument, NULL, ARGS_JSON}, {"socket", required_argument, NULL, ARGS_SOCKET},  \
		{"help", no_argument, NULL, 'h'},                                                  \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}

/* Starts with a new command line. */
void args_start(void);

/* The next option's value; its argument is in optarg. Those of ARGS_COMMON are
 * dealt with here. @letters starts with ':', or "+:" to stop at the first
 * argument. */
int args_next(struct profctl *ctl, int argc, char **argv, const char *letters,
	      const struct option *options);
/* The exit code after ARGS_BAD or ARGS_HELP. */
int args_exit(int value);

/* Reports a usage error of the running command, with a pointer to its help. */
__attribute__((format(printf, 2, 3))) void args_error(const struct profctl *ctl, const char *format,
						      ...);

/* optarg as a duration or number of option @name. Returns 0, or -EINVAL,
 * reported. A duration is more than nothing; @bare_ns as in duration_parse(). */
int args_duration(const struct profctl *ctl, const char *name, uint64_t bare_ns, uint64_t *ret_ns);
int args_number(const struct profctl *ctl, const char *name, uint64_t low, uint64_t high,
		uint64_t *ret_value);
