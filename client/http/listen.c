#include "client/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "profd/base.h"

#define BACKLOG	 128
#define FIRST_FD 3 /* of systemd's */
#define HOST_MAX 128

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

/* Fills in what is known from the socket itself. */
static int describe(int fd, struct listener *ret)
{
	union address a = {};
	socklen_t n = sizeof(a);
	char text[INET6_ADDRSTRLEN];

	*ret = (struct listener){.fd = fd};
	if (getsockname(fd, &a.any, &n) < 0)
		return -errno;
	switch (a.any.sa_family) {
	case AF_UNIX:
		ret->local = ret->is_unix = true;
		snprintf(ret->name, sizeof(ret->name), "%s", a.un.sun_path);
		return 0;
	case AF_INET:
		ret->local = ntohl(a.in.sin_addr.s_addr) >> 24 == 127;
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof(text));
		snprintf(ret->name, sizeof(ret->name), "%s:%u", text, ntohs(a.in.sin_port));
		return 0;
	case AF_INET6:
		ret->local = IN6_IS_ADDR_LOOPBACK(&a.in6.sin6_addr);
		inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text));
		snprintf(ret->name, sizeof(ret->name), "[%s]:%u", text, ntohs(a.in6.sin6_port));
		return 0;
	default:
		return -EINVAL;
	}
}

/* Takes @fd over. */
static int begin(int fd, struct listener *ret)
{
	int r = listen(fd, BACKLOG) < 0 ? -errno : describe(fd, ret);

	if (r < 0)
		close(fd);
	else
		ret->made = true;
	return r;
}

/* A socket file whose process is dead answers ECONNREFUSED. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_unix(const char *path, mode_t mode, struct listener *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t old;
	int r, fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	r = remove_stale(&address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* It must never be open wider than it shall be; there is one thread yet. */
	old = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0) {
		close(fd);
		return r;
	}
	return begin(fd, ret);
}

/* Cuts "HOST:PORT", "[HOST]:PORT", ":PORT". */
static int cut(const char *address, char *ret_host, size_t size, const char **ret_port)
{
	const char *host = address, *colon = strrchr(address, ':');
	size_t n;

	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	n = (size_t)(colon - host);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	} else if (memchr(host, ':', n)) {
		return -EINVAL;
	}
	if (n >= size)
		return -EINVAL;
	memcpy(ret_host, host, n);
	ret_host[n] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int open_found(const struct addrinfo *found, struct listener *ret)
{
	int fd, one = 1;

	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, found->ai_addr, found->ai_addrlen) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return begin(fd, ret);
}

int listen_open(const char *address, mode_t mode, struct listener *ret)
{
	struct addrinfo how = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *found = NULL;
	char host[HOST_MAX];
	const char *port;
	int r;

	if (strncmp(address, "unix:", 5) == 0)
		address += 5;
	if (*address == '/')
		return open_unix(address, mode, ret);
	r = cut(address, host, sizeof(host), &port);
	if (r < 0)
		return r;
	/* The one name; what others mean is not for a name server to say. */
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (strlen(port) > 5 || atoi(port) > 65535 ||
	    getaddrinfo(*host ? host : NULL, port, &how, &found) != 0)
		return -EINVAL;
	r = open_found(found, ret);
	freeaddrinfo(found);
	return r;
}

static bool is_listening_stream(int fd)
{
	int type = 0, listens = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM)
		return false;
	n = sizeof(listens);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens;
}

int listen_inherited(struct listener ret[LISTEN_MAX], size_t *ret_n)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long n;

	*ret_n = 0;
	if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	n = strtol(fds, NULL, 10);
	if (n < 0 || n > LISTEN_MAX)
		return -EINVAL;
	for (int fd = FIRST_FD; fd < FIRST_FD + n; fd++) {
		if (!is_listening_stream(fd) || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
		    fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || describe(fd, &ret[*ret_n]) < 0)
			return -EINVAL;
		(*ret_n)++;
	}
	return 0;
}

void listen_close(struct listener *l)
{
	if (l->fd >= 0)
		close(take_fd(&l->fd));
}
