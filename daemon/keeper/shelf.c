/*
 * A plain array, in the order in which things came: what the service manager passed
 * comes first, and stays first.
 *
 * Handing over moves descriptors in a process that has nothing else to do any more, so
 * whatever stands where another one is to go is first moved out of the way, above all.
 */
#include "daemon/keeper/shelf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/keeper/pass.h"
#include "profd/base.h"
#include "profd/limits.h"

#define FIRST_FD       3  /* SD_LISTEN_FDS_START */
#define PASSED_ITEMS   16 /* beside tables */
#define ITEMS_MAX      (PROFD_MAX_STORED_TABLES + PASSED_ITEMS)
#define SEND_WITHIN_MS 100

enum shelf_kind {
	SHELF_PUT = 1,
	SHELF_REMOVE,
};

struct shelf_message {
	uint32_t kind;
	char name[SHELF_NAME_BYTES];
};
static_assert(sizeof(struct shelf_message) == 4 + SHELF_NAME_BYTES, "no padding");

struct shelf_item {
	int fd;
	char name[SHELF_NAME_BYTES];
};

struct shelf {
	struct shelf_item items[ITEMS_MAX];
	size_t n;
};

/* ---- the starter's */

static bool is_name(const char *name, size_t size)
{
	size_t n = strnlen(name, size);

	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] >= 127 || name[i] == ':')
			return false;
	return n > 0 && n < size;
}

/* Takes over @fd. */
static void add(struct shelf *s, const char *name, int fd)
{
	if (s->n == ITEMS_MAX || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		close(fd);
		return;
	}
	s->items[s->n].fd = fd;
	snprintf(s->items[s->n].name, SHELF_NAME_BYTES, "%s", name);
	s->n++;
}

/* Names are separated by colons, and may be fewer than descriptors. */
static void take_passed(struct shelf *s)
{
	const char *number = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES") ?: "";
	int n = number ? atoi(number) : 0;

	for (int i = 0; i < n; i++) {
		size_t bytes = strcspn(names, ":");
		char name[SHELF_NAME_BYTES];

		snprintf(name, sizeof(name), "%.*s", (int)min(bytes, sizeof(name)), names);
		add(s, is_name(name, sizeof(name)) ? name : "unknown", FIRST_FD + i);
		names += bytes + (names[bytes] == ':');
	}
}

int shelf_new(struct shelf **ret_shelf)
{
	struct shelf *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	take_passed(s);
	*ret_shelf = s;
	return 0;
}

void shelf_free(struct shelf *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		close(s->items[i].fd);
	free(s);
}

size_t shelf_count(const struct shelf *s)
{
	return s->n;
}

static bool listens(int fd)
{
	int is = 0;
	socklen_t bytes = sizeof(is);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &bytes) == 0 && is;
}

/* All of that name, as a service manager does. */
static void take_off(struct shelf *s, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->items[i].name, name) == 0 && !listens(s->items[i].fd))
			close(s->items[i].fd);
		else
			s->items[kept++] = s->items[i];
	}
	s->n = kept;
}

int shelf_receive(struct shelf *s, int socket)
{
	_cleanup_close_ int fd = -1;
	struct shelf_message m;
	ssize_t n = pass_receive(socket, &m, sizeof(m), MSG_DONTWAIT, &fd);

	if (n == -EAGAIN)
		return -EAGAIN;
	if (n <= 0)
		return -ECONNRESET;
	if (n != sizeof(m) || !is_name(m.name, sizeof(m.name)))
		return 0;
	if (m.kind == SHELF_PUT && fd >= 0)
		add(s, m.name, take_fd(&fd));
	else if (m.kind == SHELF_REMOVE && fd < 0)
		take_off(s, m.name);
	return 0;
}

/* ---- the child's */

static int set_environment(const struct shelf *s)
{
	_cleanup_free_ char *names = malloc(ITEMS_MAX * SHELF_NAME_BYTES + 1);
	char *end = names, number[16];

	if (s->n == 0) {
		unsetenv("LISTEN_FDS");
		unsetenv("LISTEN_FDNAMES");
		return 0;
	}
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		end += sprintf(end, "%s%s", i > 0 ? ":" : "", s->items[i].name);
	snprintf(number, sizeof(number), "%zu", s->n);
	if (setenv("LISTEN_FDS", number, 1) < 0 || setenv("LISTEN_FDNAMES", names, 1) < 0)
		return -ENOMEM;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	return setenv("LISTEN_PID", number, 1) < 0 ? -ENOMEM : 0;
}

/* Whichever of those still to be placed stands at @at goes above all places. */
static int make_way(int at, int *fds, size_t n, int above)
{
	for (size_t i = 0; i < n; i++) {
		int moved;

		if (fds[i] != at)
			continue;
		moved = fcntl(at, F_DUPFD_CLOEXEC, above);
		if (moved < 0)
			return -errno;
		fds[i] = moved;
	}
	return 0;
}

static int place_all(int *fds, size_t n)
{
	int above = FIRST_FD + (int)n, r;

	for (size_t i = 0; i < n; i++) {
		int at = FIRST_FD + (int)i;

		if (fds[i] == at) {
			if (fcntl(at, F_SETFD, 0) < 0)
				return -errno;
			continue;
		}
		r = make_way(at, fds + i + 1, n - i - 1, above);
		if (r < 0)
			return r;
		if (dup2(fds[i], at) < 0)
			return -errno;
		fds[i] = at;
	}
	return 0;
}

int shelf_hand_over(const struct shelf *s, int *fds, size_t n_fds)
{
	size_t n = s->n + n_fds;
	_cleanup_free_ int *all = calloc(n + 1, sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		all[i] = s->items[i].fd;
	memcpy(all + s->n, fds, n_fds * sizeof(*fds));
	r = place_all(all, n);
	if (r == 0)
		r = set_environment(s);
	if (r == 0)
		memcpy(fds, all + s->n, n_fds * sizeof(*fds));
	return r;
}

/* ---- the engine's */

static int say(int socket, enum shelf_kind kind, const char *name, int fd)
{
	struct shelf_message m = {.kind = kind};
	struct iovec part = {.iov_base = &m, .iov_len = sizeof(m)};
	struct pollfd room = {.fd = socket, .events = POLLOUT};
	int r;

	if (socket < 0)
		return -ENOTCONN;
	snprintf(m.name, sizeof(m.name), "%s", name);
	r = pass_send(socket, &part, 1, fd, MSG_DONTWAIT);
	if (r == -EAGAIN && poll(&room, 1, SEND_WITHIN_MS) > 0)
		r = pass_send(socket, &part, 1, fd, MSG_DONTWAIT);
	return r;
}

int shelf_put(int socket, const char *name, int fd)
{
	return say(socket, SHELF_PUT, name, fd);
}

int shelf_remove(int socket, const char *name)
{
	return say(socket, SHELF_REMOVE, name, -1);
}
