/*
 * systemctl is a child whose output goes to two memfds, one for each stream, so
 * that nothing can block, and is read when it has ended. It is started by its full
 * path and gets no variable of ours: neither a pager, nor colours, nor another
 * language.
 */
#include "client/profctl/systemctl.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "profd/base.h"

#define MAX_ARGS	 24
#define MAX_OUTPUT_BYTES (1u << 20) /* a unit's properties are some 10 KiB */
#define MAX_UNIT_NAME	 255

static const char *const programs[] = {"/usr/bin/systemctl", "/bin/systemctl"};

bool systemctl_is_there(void)
{
	struct stat st;

	/* The way that sd_booted(3) documents. */
	return lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode);
}

static int spawn(const char *const *args, int out_fd, int error_fd, pid_t *ret_pid)
{
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						  "SYSTEMD_COLORS=0", NULL};
	const char *argv[MAX_ARGS] = {"systemctl", "--no-pager", "--no-ask-password"};
	posix_spawn_file_actions_t actions;
	size_t n = 3;
	int r = ENOENT;

	while (*args && n < MAX_ARGS - 1)
		argv[n++] = *args++;
	if (*args)
		return -E2BIG;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO) != 0)
		r = ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(programs) && r == ENOENT; i++)
		r = posix_spawn(ret_pid, programs[i], &actions, NULL, (char **)argv,
				(char **)environment);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int read_back(int fd, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > MAX_OUTPUT_BYTES)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret_text = take_ptr(text);
	return 0;
}

int systemctl_run(const char *const *args, char **ret_output)
{
	_cleanup_close_ int out_fd = memfd_create("systemctl-out", MFD_CLOEXEC);
	_cleanup_close_ int error_fd = memfd_create("systemctl-error", MFD_CLOEXEC);
	_cleanup_free_ char *output = NULL;
	int status = 0, r;
	bool failed;
	pid_t pid;

	if (out_fd < 0 || error_fd < 0)
		return -errno;
	r = spawn(args, out_fd, error_fd, &pid);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	r = read_back(failed ? error_fd : out_fd, &output);
	if (r < 0)
		return r;
	if (failed)
		output[strcspn(output, "\n")] = '\0';
	if (ret_output)
		*ret_output = take_ptr(output);
	return failed ? -EIO : 0;
}

int unit_load(const char *name, struct unit *ret_unit, char **ret_why)
{
	const char *const args[] = {"show", "--", name, NULL};
	_cleanup_free_ char *output = NULL;
	int r;

	r = systemctl_run(args, &output);
	if (r == 0)
		ret_unit->text = take_ptr(output);
	else if (r == -EIO)
		*ret_why = take_ptr(output);
	return r;
}

void unit_done(struct unit *unit)
{
	free(unit->text);
	unit->text = NULL;
}

int unit_next(const struct unit *unit, const char *key, const char **position, char **ret_value)
{
	size_t n = strlen(key);
	const char *line = unit->text;

	if (*position) {
		line = strchr(*position, '\n');
		line = line ? line + 1 : NULL;
	}
	for (; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		char *value;

		if (strncmp(line, key, n) != 0 || line[n] != '=')
			continue;
		value = strndup(line + n + 1, strcspn(line + n + 1, "\n"));
		if (!value)
			return -ENOMEM;
		*position = line;
		*ret_value = value;
		return 0;
	}
	return -ENOENT;
}

char *unit_value(const struct unit *unit, const char *key)
{
	const char *position = NULL;
	char *value = NULL;

	return unit_next(unit, key, &position, &value) == 0 ? value : NULL;
}

bool unit_is(const struct unit *unit, const char *key, const char *value)
{
	_cleanup_free_ char *have = unit_value(unit, key);

	return have && strcmp(have, value) == 0;
}

int unit_word(const char **p, char **ret_word)
{
	const char *at = *p + strspn(*p, " ");
	size_t n = 0;
	bool quoted;
	char *word;

	if (*at == '\0')
		return -ENOENT;
	word = malloc(strlen(at) + 1);
	if (!word)
		return -ENOMEM;
	/* Control characters make it $'..', with backslashes of C. */
	at += strncmp(at, "$'", 2) == 0;
	quoted = *at == '"' || *at == '\'';
	if (quoted) {
		char end = *at++;

		for (; *at != '\0' && *at != end; at++) {
			if (*at == '\\' && at[1] != '\0')
				at++;
			word[n++] = *at;
		}
		at += *at != '\0';
	} else {
		while (*at != '\0' && *at != ' ')
			word[n++] = *at++;
	}
	word[n] = '\0';
	*p = at;
	*ret_word = word;
	return 0;
}

char *unit_variable(const char *list, const char *name)
{
	size_t n = strlen(name);
	char *word = NULL, *value = NULL;

	while (!value && unit_word(&list, &word) == 0) {
		if (strncmp(word, name, n) == 0 && word[n] == '=')
			value = strdup(word + n + 1);
		free(word);
	}
	return value;
}

bool unit_name_is_valid(const char *name)
{
	static const char bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789:-_.\\@";
	static const char suffix[] = ".service";
	size_t n = strlen(name);

	return n >= sizeof(suffix) && n <= MAX_UNIT_NAME && name[0] != '.' && name[0] != '@' &&
	       name[0] != '-' && strspn(name, bytes) == n &&
	       strcmp(name + n - strlen(suffix), suffix) == 0;
}

bool unit_name_is_template(const char *name)
{
	const char *at = strchr(name, '@');

	return at && strcmp(at, "@.service") == 0;
}
