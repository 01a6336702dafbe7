#include "client/profctl/args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/duration.h"
#include "client/profctl/output.h"
#include "profd/base.h"

void args_start(void)
{
	/* 0, not 1: glibc then forgets the order it had begun to permute. */
	optind = 0;
	opterr = 0;
}

void args_error(const struct profctl *ctl, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	const char *command = ctl->command ? ctl->command : "";
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return;
	}
	output_error("%s: see \"profctl %s%s--help\"", text, command, *command ? " " : "");
}

/* getopt_long() tells an unknown letter by optopt, and leaves of a long option
 * only the argument before optind. */
static void report(const struct profctl *ctl, int value, char **argv)
{
	const char *why = value == ':' ? "needs a value" : "unknown option";

	if (value == ':' && optopt < ARGS_JSON)
		args_error(ctl, "-%c: %s", optopt, why);
	else if (value == ':' || optopt == 0)
		args_error(ctl, "%s: %s", argv[optind - 1], why);
	else if (optopt >= ARGS_JSON)
		args_error(ctl, "%s: takes no value", argv[optind - 1]);
	else
		args_error(ctl, "-%c: %s", optopt, why);
}

int args_next(struct profctl *ctl, int argc, char **argv, const char *letters,
	      const struct option *options)
{
	int value;

	for (;;) {
		value = getopt_long(argc, argv, letters, options, NULL);
		switch (value) {
		case ARGS_JSON:
			ctl->json = true;
			break;
		case ARGS_SOCKET:
			ctl->socket = optarg;
			break;
		case 'h':
			fputs(ctl->help, stdout);
			return ARGS_HELP;
		case '?':
		case ':':
			report(ctl, value, argv);
			return ARGS_BAD;
		default:
			return value;
		}
	}
}

int args_exit(int value)
{
	return value == ARGS_HELP ? PROFCTL_DONE : PROFCTL_USAGE;
}

int args_duration(const struct profctl *ctl, const char *name, uint64_t bare_ns, uint64_t *ret_ns)
{
	uint64_t ns = 0;
	int r;

	r = duration_parse(optarg, bare_ns, &ns);
	if (r == -ERANGE)
		output_error("%s: \"%s\" is too long", name, optarg);
	else if (r < 0)
		output_error("%s: \"%s\" is not a duration: " DURATION_FORMS, name, optarg);
	else if (ns == 0)
		output_error("%s: \"%s\" is no time at all: " DURATION_FORMS, name, optarg);
	if (r < 0 || ns == 0)
		return -EINVAL;
	*ret_ns = ns;
	return 0;
}

int args_number(const struct profctl *ctl, const char *name, uint64_t low, uint64_t high,
		uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *p = optarg;
	bool bad = *p == '\0';

	for (; !bad && *p != '\0'; p++)
		bad = *p < '0' || *p > '9' || __builtin_mul_overflow(value, 10, &value) ||
		      __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	if (bad || value < low || value > high) {
		output_error("%s: \"%s\" is not a number from %" PRIu64 " to %" PRIu64, name,
			     optarg, low, high);
		return -EINVAL;
	}
	*ret_value = value;
	return 0;
}
