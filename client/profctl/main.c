#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/profctl/args.h"
#include "client/profctl/output.h"
#include "client/profctl/profctl.h"
#include "profd/base.h"

static const char help_head[] = "Usage: profctl [--socket PATH] [--json] COMMAND [OPTIONS]\n"
				"\n"
				"CPU and heap profiles of native programs, as pprof files.\n"
				"\n"
				"Commands (\"profctl COMMAND --help\" tells more):\n";
static const char help_tail[] =
	"\n"
	"  --socket PATH   profd's socket; $PROFD_SOCKET or /run/profd/profd.sock by default\n"
	"  --json          results as JSON\n"
	"  --version       the version\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 usage, 3 no daemon. run exits as its command did.\n";

static const struct option options[] = {
	{"version", no_argument, NULL, ARGS_VERSION},
	ARGS_COMMON,
};

static const struct profctl_command *const commands[] = {
	&profctl_run,	    &profctl_snapshot, &profctl_list,	 &profctl_status,  &profctl_top,
	&profctl_symbolize, &profctl_enable,   &profctl_disable, &profctl_enabled,
};

static char *make_help(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream;

	stream = open_memstream(&text, &size);
	if (!stream)
		return NULL;
	fputs(help_head, stream);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs(help_tail, stream);
	if (fclose(stream) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static const struct profctl_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* Options before the command. Returns ARGS_END when there is a command to run. */
static int parse(struct profctl *ctl, int argc, char **argv)
{
	int value;

	args_start();
	/* '+': what follows the command is the command's. */
	value = args_next(ctl, argc, argv, "+:h", options);
	if (value == ARGS_VERSION) {
		output_line("profctl " PROFD_VERSION);
		return ARGS_HELP;
	}
	if (value == ARGS_END && optind >= argc) {
		args_error(ctl, "no command given");
		return ARGS_BAD;
	}
	return value;
}

static int run(int argc, char **argv, void (*sigpipe)(int))
{
	_cleanup_free_ char *help = make_help();
	struct profctl ctl = {.help = help ? help : help_head, .sigpipe = sigpipe};
	const struct profctl_command *command;
	int value, first;

	value = parse(&ctl, argc, argv);
	if (value != ARGS_END)
		return args_exit(value);
	first = optind;
	command = find_command(argv[first]);
	if (!command) {
		args_error(&ctl, "%s: unknown command", argv[first]);
		return PROFCTL_USAGE;
	}
	ctl.command = command->name;
	ctl.help = command->help;
	return command->run(&ctl, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	int code;

	/* A reader that leaves is an error of write(), not the end of us: what was
	 * begun is finished or taken back. */
	code = run(argc, argv, signal(SIGPIPE, SIG_IGN));
	if (output_finish() < 0 && code == PROFCTL_DONE)
		code = PROFCTL_FAILED;
	return code;
}
