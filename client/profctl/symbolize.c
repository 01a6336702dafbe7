/*
 * `profctl symbolize`: names for a profile that was published without them. profd does
 * it, as a filter, with the code that names all profiles: it is executed like the
 * private daemon of `profctl run`, and the scribe that it starts is what parses files.
 *
 * What it lacks is named by build-id, and may be asked of debuginfod servers, by another
 * program again (fetch.h); then all is named anew. A debug file may in turn refer to one
 * that is shared (dwz), so there are several rounds.
 *
 * The profile is replaced when all is done, whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/profctl/args.h"
#include "client/profctl/fetch.h"
#include "client/profctl/helper.h"
#include "client/profctl/output.h"
#include "client/profctl/profctl.h"
#include "client/profctl/save.h"
#include "profd/base.h"
#include "profd/limits.h"

static const char help[] =
	"Usage: profctl symbolize [OPTIONS] FILE\n"
	"\n"
	"Names the functions of a profile that had none when it was written: program files\n"
	"and debug files are found by build-id, also on another machine. No daemon is needed.\n"
	"\n"
	"  --debug-dir DIR   look here first, then in /usr/lib/debug, /usr/local/lib/debug\n"
	"                    and where the program was; as often as needed\n"
	"  --debuginfod URL  ask this server for debug files that are not here; as often as\n"
	"                    needed. Without it, no server is asked\n"
	"  -o, --output OUT  write the profile there; FILE itself is replaced by default\n";

enum { OPT_DEBUG_DIR = ARGS_FIRST, OPT_DEBUGINFOD };

#define MAX_ROUNDS     3
#define MAX_DIRS       (PROFD_MAX_DEBUG_DIRS - 1) /* one is for what is fetched */
#define MAX_SAID_BYTES (64u << 10)

static const struct option options[] = {
	{"debug-dir", required_argument, NULL, OPT_DEBUG_DIR},
	{"debuginfod", required_argument, NULL, OPT_DEBUGINFOD},
	{"output", required_argument, NULL, 'o'},
	ARGS_COMMON,
};

struct symbolize {
	const char *file, *output;
	char *dirs[PROFD_MAX_DEBUG_DIRS];
	size_t n_dirs;
	char *urls[PROFD_MAX_FETCH_SERVERS];
	size_t n_urls;
	struct fetched fetched;
	char *said;    /* by profd: its first line; NULL: nothing yet */
	char *lacking; /* the others */
	char **asked;  /* build-ids, of servers, so far */
	size_t n_asked;
};

static void symbolize_done(struct symbolize *s)
{
	for (size_t i = 0; i < s->n_dirs; i++)
		free(s->dirs[i]);
	for (size_t i = 0; i < s->n_asked; i++)
		free(s->asked[i]);
	free(s->asked);
	free(s->said);
	fetched_done(&s->fetched);
}

static int add_dir(const struct profctl *ctl, struct symbolize *s)
{
	char *path;

	if (s->n_dirs == MAX_DIRS) {
		args_error(ctl, "--debug-dir: %d at most", MAX_DIRS);
		return ARGS_BAD;
	}
	path = realpath(optarg, NULL);
	if (!path) {
		args_error(ctl, "--debug-dir %s: %s", optarg, strerror(errno));
		return ARGS_BAD;
	}
	s->dirs[s->n_dirs++] = path;
	return 0;
}

static int add_url(const struct profctl *ctl, struct symbolize *s)
{
	if (s->n_urls == PROFD_MAX_FETCH_SERVERS) {
		args_error(ctl, "--debuginfod: %d at most", PROFD_MAX_FETCH_SERVERS);
		return ARGS_BAD;
	}
	if (strncmp(optarg, "http://", 7) != 0 && strncmp(optarg, "https://", 8) != 0) {
		args_error(ctl, "--debuginfod %s: an http:// or https:// address is needed",
			   optarg);
		return ARGS_BAD;
	}
	s->urls[s->n_urls++] = optarg;
	return 0;
}

static int parse(struct profctl *ctl, int argc, char **argv, struct symbolize *s)
{
	int value;

	args_start();
	while ((value = args_next(ctl, argc, argv, ":ho:", options)) >= 0) {
		if (value == 'o')
			s->output = optarg;
		else if ((value == OPT_DEBUGINFOD ? add_url : add_dir)(ctl, s) < 0)
			return ARGS_BAD;
	}
	if (value != ARGS_END)
		return value;
	if (optind != argc - 1) {
		args_error(ctl, "one profile file is needed");
		return ARGS_BAD;
	}
	s->file = argv[optind];
	if (!s->output)
		s->output = s->file;
	return ARGS_END;
}

/* To the end of file. */
static int read_said(struct symbolize *s, int fd)
{
	char rest[256];
	size_t n = 0;
	ssize_t got;

	free(s->said);
	s->said = malloc(MAX_SAID_BYTES);
	if (!s->said)
		return -ENOMEM;
	do {
		bool full = n == MAX_SAID_BYTES - 1;

		got = full ? read(fd, rest, sizeof(rest))
			   : read(fd, s->said + n, MAX_SAID_BYTES - 1 - n);
		if (got > 0 && !full)
			n += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	s->said[n] = '\0';
	s->lacking = s->said + strcspn(s->said, "\n");
	if (*s->lacking)
		*s->lacking++ = '\0';
	return 0;
}

/* Returns 0, or -errno of starting it, or -EIO: it said why. */
static int filter(const char *program, struct symbolize *s, int in_fd, int out_fd)
{
	const char *argv[2 + PROFD_MAX_DEBUG_DIRS + 1] = {program, "--symbolize"};
	struct helper_filter how = {.argv = argv, .in_fd = in_fd, .out_fd = out_fd};
	int pipe_fds[2], said, r;
	size_t n = 2;
	pid_t pid;

	for (size_t i = 0; i < s->n_dirs; i++)
		argv[n++] = s->dirs[i];
	if (s->fetched.dir)
		argv[n++] = s->fetched.dir;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	how.error_fd = pipe_fds[1];
	r = helper_start(&how, &pid);
	close(pipe_fds[1]);
	if (r == 0) {
		said = read_said(s, pipe_fds[0]);
		r = helper_wait(pid);
		r = said < 0 ? said : r;
	}
	close(pipe_fds[0]);
	return r;
}

static int run_filter(struct symbolize *s, int out_fd)
{
	_cleanup_close_ int in_fd = open(s->file, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *program = NULL;
	int r;

	if (in_fd < 0) {
		r = -errno;
		output_error("%s: %s", s->file, strerror(-r));
		return r;
	}
	r = helper_find("profd", &program);
	if (r < 0)
		return r;
	r = filter(program, s, in_fd, out_fd);
	if (r < 0)
		output_error("%s: %s", s->file, s->said && *s->said ? s->said : strerror(-r));
	return r;
}

static bool was_asked(const struct symbolize *s, const char *id)
{
	for (size_t i = 0; i < s->n_asked; i++)
		if (strcmp(s->asked[i], id) == 0)
			return true;
	return false;
}

static int add_asked(struct symbolize *s, const char *id)
{
	char **grown = reallocarray(s->asked, s->n_asked + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->asked = grown;
	grown[s->n_asked] = strdup(id);
	return grown[s->n_asked] ? (s->n_asked++, 0) : -ENOMEM;
}

/* What was lacking and has not been asked for. Returns how many were had, or -errno. */
static int fetch_lacking(struct symbolize *s)
{
	size_t first = s->n_asked;
	char *rest = NULL;
	int r = 0;

	for (char *id = strtok_r(s->lacking, "\n", &rest); r == 0 && id;
	     id = strtok_r(NULL, "\n", &rest))
		if (!was_asked(s, id))
			r = add_asked(s, id);
	if (r < 0)
		output_error("%s: %s", s->file, strerror(-r));
	if (r < 0 || s->n_asked == first)
		return r;
	return fetch_debug_files(&s->fetched, s->urls, s->n_urls, s->asked + first,
				 s->n_asked - first);
}

static int symbolize(struct symbolize *s, int out_fd)
{
	int r = run_filter(s, out_fd);

	for (unsigned i = 0; r == 0 && s->n_urls > 0 && i < MAX_ROUNDS; i++) {
		int n = fetch_lacking(s);

		if (n <= 0)
			return n;
		if (ftruncate(out_fd, 0) < 0 || lseek(out_fd, 0, SEEK_SET) < 0)
			return -errno;
		r = run_filter(s, out_fd);
	}
	return r;
}

static int show(const struct profctl *ctl, const struct symbolize *s)
{
	unsigned locations, named, mappings, found;

	if (sscanf(s->said, "%u %u %u %u", &locations, &named, &mappings, &found) != 4) {
		output_error("profd: %s: is it of another version?", s->said);
		return PROFCTL_FAILED;
	}
	if (ctl->json)
		return output_json(json_pack("{s:o, s:I, s:I, s:I, s:I}", "file",
					     output_json_string(s->output), "locations",
					     (json_int_t)locations, "named", (json_int_t)named,
					     "mappings", (json_int_t)mappings, "found",
					     (json_int_t)found),
				   true) < 0
			       ? PROFCTL_FAILED
			       : PROFCTL_DONE;
	output_line("%s: %u of %u locations have names; %u of %u files were found", s->output,
		    named, locations, found, mappings);
	return PROFCTL_DONE;
}

static int symbolize_main(struct profctl *ctl, int argc, char **argv)
{
	_cleanup_(symbolize_done) struct symbolize s = {};
	_cleanup_close_ int out_fd = -1;
	int value, r;

	value = parse(ctl, argc, argv, &s);
	if (value != ARGS_END)
		return args_exit(value);
	out_fd = memfd_create("profctl-symbolize", MFD_CLOEXEC);
	if (out_fd < 0) {
		output_error("symbolize: %s", strerror(errno));
		return PROFCTL_FAILED;
	}
	if (symbolize(&s, out_fd) < 0)
		return PROFCTL_FAILED;
	r = lseek(out_fd, 0, SEEK_SET) < 0 ? -errno : save_as(s.output, out_fd);
	if (r < 0) {
		output_error("%s: %s: name a file that you can write with --output", s.output,
			     strerror(-r));
		return PROFCTL_FAILED;
	}
	return show(ctl, &s);
}

const struct profctl_command profctl_symbolize = {
	.name = "symbolize",
	.run = symbolize_main,
	.summary = "name what had no names when a profile was written",
	.help = help,
};
