#include "client/profctl/obstacles.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

#define SOCKET_DIR     "/run/profd"
#define MAX_LINE_BYTES 65536

/* SystemCallErrorNumber= of a filter that ends whoever calls what it forbids. */
#define ERRNO_KILL "2147483646"

/* What the client calls before main, and a program may not: without the first it is
 * switched off. Nobody's start needs less. */
static const char *const calls[] = {"memfd_create", "ftruncate", "madvise", "socket",
				    "connect",	    "sendmsg",	 "futex",   "prctl"};

struct search {
	const struct unit *unit;
	const char *library;
	struct obstacles *found;
	bool failed;
};

__attribute__((format(printf, 3, 4))) static void add(struct search *s, bool prevents,
						      const char *format, ...)
{
	struct obstacles *found = s->found;
	va_list args;
	char *text;
	int n;

	if (found->n == OBSTACLES_MAX)
		return;
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		s->failed = true;
	else
		found->list[found->n++] = (struct obstacle){.prevents = prevents, .text = text};
}

static size_t covers(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 1 && dir[0] == '/')
		return 1;
	return strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0') ? n : 0;
}

/* How far @path lies under one of @list, which is as "systemctl show" prints paths
 * ("-/srv +/opt /var:ro"): the length of the longest that covers it, or 0. */
static size_t covered(const char *list, const char *path)
{
	size_t longest = 0;
	char *word;

	while (unit_word(&list, &word) == 0) {
		char *dir = word + strspn(word, "-+"), real[PATH_MAX];
		size_t n;

		dir[strcspn(dir, ":")] = '\0'; /* options follow */
		/* /lib is a link to /usr/lib. */
		n = dir[0] == '/' ? covers(realpath(dir, real) ? real : dir, path) : 0;
		longest = max(longest, n);
		free(word);
	}
	return longest;
}

static size_t covered_by(const struct search *s, const char *key, const char *path)
{
	_cleanup_free_ char *list = unit_value(s->unit, key);

	return list ? covered(list, path) : 0;
}

static bool is_hidden(const struct search *s, const char *path, const char **ret_key)
{
	static const char *const keys[] = {"InaccessiblePaths", "TemporaryFileSystem"};
	_cleanup_free_ char *root = unit_value(s->unit, "RootDirectory");
	_cleanup_free_ char *home = unit_value(s->unit, "ProtectHome");
	_cleanup_free_ char *inside = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		*ret_key = keys[i];
		if (covered_by(s, keys[i], path) > 0)
			return true;
	}
	*ret_key = "ProtectHome";
	if (home && (strcmp(home, "yes") == 0 || strcmp(home, "tmpfs") == 0) &&
	    covered("/home /root /run/user", path) > 0)
		return true;
	*ret_key = "PrivateTmp";
	if (unit_is(s->unit, "PrivateTmp", "yes") && covered("/tmp /var/tmp", path) > 0)
		return true;
	*ret_key = "RootDirectory";
	if (!root || !*root || strcmp(root, "/") == 0)
		return false;
	if (asprintf(&inside, "%s%s", root, path) < 0)
		inside = NULL;
	return inside && access(inside, F_OK) < 0;
}

static void look_at_library(struct search *s)
{
	_cleanup_free_ char *image = unit_value(s->unit, "RootImage");
	const char *key;

	if (image && *image)
		add(s, true, "RootImage=: %s is not in the image", s->library);
	else if (is_hidden(s, s->library, &key))
		add(s, true, "%s=: %s is out of its sight", key, s->library);
	else if (covered_by(s, "NoExecPaths", s->library) > covered_by(s, "ExecPaths", s->library))
		add(s, true,
		    "NoExecPaths=: %s may not be executed there; add it to ExecPaths=", s->library);
}

/* A client that does not reach the socket is found later, when somebody asks. */
static void look_at_socket(struct search *s)
{
	_cleanup_free_ char *families = unit_value(s->unit, "RestrictAddressFamilies");
	const char *key;
	bool denied = families && *families &&
		      (strstr(families, "AF_UNIX") != NULL) == (families[0] == '~');

	if (!denied && !is_hidden(s, SOCKET_DIR, &key))
		return;
	add(s, false,
	    "%s=: it cannot reach profd's socket; profd finds it at the next snapshot or list",
	    denied ? "RestrictAddressFamilies" : key);
}

/* Returns 1: it may be called; 0: not, and gets an error; -1: whoever calls it is ended. */
static int may_call(const char *filter, const char *call, bool kills)
{
	bool deny = filter[0] == '~';
	size_t n = strlen(call);
	const char *list = filter + deny;
	int found = -1;
	char *word;

	while (unit_word(&list, &word) == 0) {
		if (strncmp(word, call, n) == 0 && word[n] == ':')
			found = strcmp(word + n, ":kill") == 0 ? 2 : 0;
		else if (strcmp(word, call) == 0)
			found = 1;
		free(word);
	}
	if (found == 2)
		return -1;
	if (found == 0)
		return 0;
	return (found == 1) != deny ? 1 : kills ? -1 : 0;
}

static void look_at_calls(struct search *s)
{
	_cleanup_free_ char *filter = unit_value(s->unit, "SystemCallFilter");
	_cleanup_free_ char *error = unit_value(s->unit, "SystemCallErrorNumber");
	bool kills = !error || strcmp(error, ERRNO_KILL) == 0 || strcmp(error, "0") == 0;

	if (!filter || !*filter)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int may = may_call(filter, calls[i], kills);

		if (may > 0)
			continue;
		if (may < 0)
			add(s, true,
			    "SystemCallFilter=: it would be killed at its start, for the client "
			    "calls %s; allow @system-service",
			    calls[i]);
		else
			add(s, i == 0, "SystemCallFilter=: forbids %s: %s", calls[i],
			    i == 0 ? "the client stays switched off"
				   : "the client may be seen late, or not give free memory back");
		return;
	}
}

/* Whether @path, which systemd reads when the service starts, sets LD_PRELOAD. */
static bool file_sets_it(const char *path)
{
	FILE *stream = fopen(path, "re");
	char line[MAX_LINE_BYTES];
	bool found = false;

	while (stream && !found && fgets(line, sizeof(line), stream))
		found = strncmp(line + strspn(line, " \t"), "LD_PRELOAD=", 11) == 0;
	if (stream)
		fclose(stream);
	return found;
}

static void look_at_environment(struct search *s)
{
	_cleanup_free_ char *unset = unit_value(s->unit, "UnsetEnvironment");
	const char *position = NULL, *list = unset;
	char *value;

	while (list && unit_word(&list, &value) == 0) {
		if (strcmp(value, "LD_PRELOAD") == 0 || strncmp(value, "LD_PRELOAD=", 11) == 0)
			add(s, true, "UnsetEnvironment=: takes %s away again", value);
		free(value);
	}
	while (unit_next(s->unit, "EnvironmentFiles", &position, &value) == 0) {
		value[strcspn(value, " ")] = '\0';
		if (file_sets_it(value))
			add(s, true, "%s: sets LD_PRELOAD, which comes last: add %s there", value,
			    s->library);
		free(value);
	}
}

static void look_at_program(struct search *s)
{
	static const char before[] = "path=", after[] = " ; ";
	_cleanup_free_ char *start = unit_value(s->unit, "ExecStart");
	_cleanup_free_ char *user = unit_value(s->unit, "User");
	char *path = start ? strstr(start, before) : NULL, *end;
	const char *why;

	if (!path)
		return;
	path += strlen(before);
	end = strstr(path, after);
	if (end)
		*end = '\0';
	why = executable_refuses(path, s->library,
				 (user && *user && strcmp(user, "root") != 0) ||
					 unit_is(s->unit, "DynamicUser", "yes"));
	if (why)
		add(s, true, "%s: %s", path, why);
}

int obstacles_find(const struct unit *unit, const char *library, struct obstacles *ret_obstacles)
{
	struct obstacles found = {};
	struct search s = {.unit = unit, .library = library, .found = &found};

	look_at_environment(&s);
	look_at_program(&s);
	look_at_library(&s);
	look_at_socket(&s);
	look_at_calls(&s);
	if (s.failed) {
		obstacles_done(&found);
		return -ENOMEM;
	}
	*ret_obstacles = found;
	return 0;
}

void obstacles_done(struct obstacles *obstacles)
{
	for (size_t i = 0; i < obstacles->n; i++)
		free(obstacles->list[i].text);
	obstacles->n = 0;
}
