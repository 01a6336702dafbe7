/*
 * Everything here that a process can choose itself is a name: its comm, which
 * may hold blanks, brackets and newlines. So /proc/PID/stat is read from its
 * last bracket on: nothing after that is of the process's choosing.
 *
 * A unit is what systemd calls the process's cgroup, or the 64 hex digits that
 * a container runtime put there; the innermost one counts.
 */
#include "daemon/proc/identity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"

#define UNIT_MAX_BYTES	    256
#define CONTAINER_ID_DIGITS 64

/* ---- parsing */

int identity_parse_stat(const char *text, struct identity_stat *ret_stat)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct identity_stat st = {0};
	const char *last;
	int n;

	if (!open || !close || close < open)
		return -EBADMSG;
	memcpy(st.comm, open + 1, min((size_t)(close - open - 1), sizeof(st.comm) - 1));
	/* Fields 3 (state), 20 (threads) and 22 (start time); the last is 52 (exit code). */
	n = sscanf(close + 1,
		   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64
		   " %*s %" SCNu64,
		   &st.state, &st.threads, &st.start_ticks);
	if (n != 3)
		return -EBADMSG;
	last = strrchr(close, ' ');
	st.exit_code = last ? atoi(last) : 0;
	*ret_stat = st;
	return 0;
}

int identity_parse_statm(const char *text, uint64_t *ret_rss_pages)
{
	return sscanf(text, "%*u %" SCNu64, ret_rss_pages) == 1 ? 0 : -EBADMSG;
}

static int parse_kib(const char *text, const char *key, uint64_t *ret_bytes)
{
	const char *line = strstr(text, key);
	uint64_t kib;

	if (!line || sscanf(line + strlen(key), " %" SCNu64 " kB", &kib) != 1)
		return -EBADMSG;
	*ret_bytes = kib * 1024;
	return 0;
}

int identity_parse_rollup(const char *text, struct process_memory *ret_memory)
{
	struct process_memory m = {0};

	if (parse_kib(text, "\nRss:", &m.rss) < 0 ||
	    parse_kib(text, "\nAnonymous:", &m.anonymous) < 0 ||
	    parse_kib(text, "\nSwap:", &m.swap) < 0)
		return -EBADMSG;
	*ret_memory = m;
	return 0;
}

/* The Name: line, which comes before, has its newlines escaped. */
static int parse_uids(const char *status, unsigned uids[3])
{
	const char *line = strstr(status, "\nUid:");

	return line && sscanf(line, "\nUid: %u %u %u", &uids[0], &uids[1], &uids[2]) == 3
		       ? 0
		       : -EBADMSG;
}

int identity_parse_uid(const char *status, uid_t *ret_uid)
{
	unsigned uids[3];

	if (parse_uids(status, uids) < 0)
		return -EBADMSG;
	*ret_uid = uids[0] == uids[1] && uids[0] == uids[2] ? uids[0] : 0;
	return 0;
}

/* NSpid: has the pid in each namespace, the process's own one last. */
int identity_parse_inner_pid(const char *status, pid_t *ret_pid)
{
	const char *line = strstr(status, "\nNSpid:");
	const char *at = line ? line + strlen("\nNSpid:") : NULL, *end;
	long pid = 0;
	char *next;

	if (!line)
		return -EBADMSG;
	for (end = strchrnul(at, '\n'); at < end; at = next) {
		long value = strtol(at, &next, 10);

		if (next == at || next > end)
			break;
		pid = value;
	}
	if (pid <= 0 || pid > INT32_MAX)
		return -EBADMSG;
	*ret_pid = (pid_t)pid;
	return 0;
}

/* Seccomp: is 0 where there is no filter. */
int identity_parse_filtered(const char *status, bool *ret_filtered)
{
	const char *line = strstr(status, "\nSeccomp:");
	unsigned mode;

	if (!line || sscanf(line, "\nSeccomp: %u", &mode) != 1)
		return -EBADMSG;
	*ret_filtered = mode != 0;
	return 0;
}

static bool ends_with(const char *s, size_t n, const char *tail)
{
	size_t tail_n = strlen(tail);

	return n > tail_n && memcmp(s + n - tail_n, tail, tail_n) == 0;
}

/* A run of exactly 64 lower-case hex digits in @s, or NULL. */
static const char *find_container_id(const char *s, size_t n)
{
	size_t run = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && (isdigit((unsigned char)s[i]) || (s[i] >= 'a' && s[i] <= 'f'))) {
			run++;
			continue;
		}
		if (run == CONTAINER_ID_DIGITS)
			return s + i - run;
		run = 0;
	}
	return NULL;
}

/* "lxc.payload.NAME", or NAME below "lxc": no id, but what its user calls it. */
static const char *find_lxc_name(const char *path, const char *s, size_t n)
{
	static const char payload[] = "lxc.payload.", parent[] = "/lxc/";
	const size_t head = sizeof(payload) - 1, above = sizeof(parent) - 1;

	if (n > head && memcmp(s, payload, head) == 0)
		return s + head;
	if (n > 0 && (size_t)(s - path) >= above && memcmp(s - above, parent, above) == 0)
		return s;
	return NULL;
}

/* The component of @path at @s, of @n bytes. */
static int unit_of_component(const char *path, const char *s, size_t n, char *ret_unit, size_t size)
{
	const char *lxc = find_lxc_name(path, s, n);
	bool scope = ends_with(s, n, ".scope");
	bool dash =
		n > CONTAINER_ID_DIGITS && s[n - CONTAINER_ID_DIGITS - 1] == '-'; /* "libpod-ID" */
	bool may_be_id = n == CONTAINER_ID_DIGITS || scope || dash;
	const char *id = may_be_id ? find_container_id(s, n) : NULL;

	if (id) { /* "docker-ID.scope" and its like say less than the id */
		s = id;
		n = CONTAINER_ID_DIGITS;
	} else if (lxc) {
		n -= (size_t)(lxc - s);
		s = lxc;
	} else if (!scope && !ends_with(s, n, ".service")) {
		return -ENOENT;
	}
	if (n >= size)
		return -ENOENT;
	memcpy(ret_unit, s, n);
	ret_unit[n] = '\0';
	return 0;
}

/* The last component of @path, up to @end, that is a unit. */
static int unit_of_path(const char *path, const char *end, char *ret_unit, size_t size)
{
	while (end > path) {
		const char *slash = memrchr(path, '/', (size_t)(end - path));
		const char *name = slash ? slash + 1 : path;

		if (unit_of_component(path, name, (size_t)(end - name), ret_unit, size) == 0)
			return 0;
		end = slash ? slash : path;
	}
	return -ENOENT;
}

/* Lines are ID:CONTROLLERS:PATH. @wanted: "" is the unified hierarchy; NULL any. */
static int unit_of_hierarchy(const char *text, const char *wanted, char *ret_unit, size_t size)
{
	while (*text) {
		const char *end = strchrnul(text, '\n');
		const char *controllers = memchr(text, ':', (size_t)(end - text));
		const char *path = NULL;

		if (controllers)
			path = memchr(controllers + 1, ':', (size_t)(end - controllers - 1));
		if (path) {
			size_t n = (size_t)(path - controllers - 1);
			bool match = !wanted || (n == strlen(wanted) &&
						 memcmp(controllers + 1, wanted, n) == 0);

			if (match && unit_of_path(path + 1, end, ret_unit, size) == 0)
				return 0;
		}
		text = *end ? end + 1 : end;
	}
	return -ENOENT;
}

int identity_parse_unit(const char *cgroup, char *ret_unit, size_t size)
{
	static const char *const order[] = {"", "name=systemd", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (unit_of_hierarchy(cgroup, order[i], ret_unit, size) == 0)
			return 0;
	return -ENOENT;
}

/* ---- reading */

int identity_read_text(struct keeper *keeper, pid_t pid, enum keeper_file file,
		       char ret[IDENTITY_MAX_BYTES])
{
	ssize_t n = keeper_read_file(keeper, pid, file, ret, IDENTITY_MAX_BYTES - 1);

	if (n < 0)
		return (int)n;
	ret[n] = '\0';
	return 0;
}

int identity_read_stat(struct keeper *keeper, pid_t pid, struct identity_stat *ret_stat)
{
	char text[IDENTITY_MAX_BYTES];
	int rc = identity_read_text(keeper, pid, KEEPER_STAT, text);

	return rc < 0 ? rc : identity_parse_stat(text, ret_stat);
}

int process_read_identity(struct keeper *keeper, pid_t pid, uint64_t *ret_start_ticks,
			  char ret_comm[PROCESS_COMM_BYTES])
{
	struct identity_stat st;
	int rc = identity_read_stat(keeper, pid, &st);

	if (rc < 0)
		return rc;
	*ret_start_ticks = st.start_ticks;
	memcpy(ret_comm, st.comm, PROCESS_COMM_BYTES);
	return 0;
}

int process_read_start(struct keeper *keeper, pid_t pid, uint64_t *ret_ticks)
{
	struct identity_stat st;
	int rc = identity_read_stat(keeper, pid, &st);

	if (rc == 0)
		*ret_ticks = st.start_ticks;
	return rc;
}

int process_read_comm(struct keeper *keeper, pid_t pid, char ret[PROCESS_COMM_BYTES])
{
	struct identity_stat st;
	int rc = identity_read_stat(keeper, pid, &st);

	if (rc == 0)
		memcpy(ret, st.comm, PROCESS_COMM_BYTES);
	return rc;
}

int process_read_rss(struct keeper *keeper, pid_t pid, uint64_t *ret_bytes)
{
	char text[IDENTITY_MAX_BYTES];
	uint64_t pages;
	int rc = identity_read_text(keeper, pid, KEEPER_STATM, text);

	if (rc == 0)
		rc = identity_parse_statm(text, &pages);
	if (rc == 0)
		*ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return rc;
}

int identity_read_rollup(struct keeper *keeper, pid_t pid, struct process_memory *ret_memory)
{
	char text[IDENTITY_MAX_BYTES];
	int rc = identity_read_text(keeper, pid, KEEPER_SMAPS_ROLLUP, text);

	return rc < 0 ? rc : identity_parse_rollup(text, ret_memory);
}

int process_read_uid(struct keeper *keeper, pid_t pid, uid_t *ret_uid)
{
	char text[IDENTITY_MAX_BYTES];
	int rc = identity_read_text(keeper, pid, KEEPER_STATUS, text);

	return rc < 0 ? rc : identity_parse_uid(text, ret_uid);
}

/* The files of a process that may not be looked into belong to root (proc(5)). */
int process_read_owner(struct keeper *keeper, pid_t pid, uid_t *ret_owner)
{
	_cleanup_close_ int fd = keeper_open_file(keeper, pid, KEEPER_STATUS);
	char text[IDENTITY_MAX_BYTES];
	struct stat st;
	ssize_t n;
	uid_t uid;
	int rc;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1); /* procfs gives the whole of it at once */
	if (n < 0)
		return -errno;
	text[n] = '\0';
	rc = identity_parse_uid(text, &uid);
	if (rc == 0)
		*ret_owner = st.st_uid == uid ? uid : 0;
	return rc;
}

int process_read_inner_pid(struct keeper *keeper, pid_t pid, pid_t *ret_pid)
{
	char text[IDENTITY_MAX_BYTES];
	int rc = identity_read_text(keeper, pid, KEEPER_STATUS, text);

	return rc < 0 ? rc : identity_parse_inner_pid(text, ret_pid);
}

int process_read_filtered(struct keeper *keeper, pid_t pid, bool *ret_filtered)
{
	char text[IDENTITY_MAX_BYTES];
	int rc = identity_read_text(keeper, pid, KEEPER_STATUS, text);

	return rc < 0 ? rc : identity_parse_filtered(text, ret_filtered);
}

int process_read_setuid(struct keeper *keeper, pid_t pid, bool *ret_setuid)
{
	char text[IDENTITY_MAX_BYTES];
	unsigned uids[3];
	int rc = identity_read_text(keeper, pid, KEEPER_STATUS, text);

	if (rc == 0)
		rc = parse_uids(text, uids);
	if (rc == 0)
		*ret_setuid = uids[0] != uids[1];
	return rc;
}

int process_read_unit(struct keeper *keeper, pid_t pid, char **ret_unit)
{
	char text[IDENTITY_MAX_BYTES], unit[UNIT_MAX_BYTES];
	char *copy;
	int rc = identity_read_text(keeper, pid, KEEPER_CGROUP, text);

	if (rc == 0)
		rc = identity_parse_unit(text, unit, sizeof(unit));
	if (rc < 0)
		return rc;
	copy = strdup(unit);
	if (!copy)
		return -ENOMEM;
	*ret_unit = copy;
	return 0;
}
