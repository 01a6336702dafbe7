/*
 * profd-http: sockets, secrets, the server; then it waits for the signal to end.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/http/listen.h"
#include "client/http/options.h"
#include "client/http/server.h"
#include "profd/base.h"
#include "proto/control.h"

#define DEFAULT_LISTEN "127.0.0.1:6060"
#define SECRET_BYTES   (1 << 20) /* no certificate is larger */
#define ARENAS	       4 /* threads come and go; each with an arena would be memory for nothing */

enum {
	EXIT_USAGE = 2,
};

struct program {
	struct options options;
	struct server_options server_options;
	struct listener listeners[LISTEN_MAX];
	size_t n_listeners;
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("profd-http: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return -EINVAL;
}

static int open_sockets(struct program *p)
{
	const struct options *o = &p->options;
	int r = listen_inherited(p->listeners, &p->n_listeners);

	if (r < 0)
		return complain("LISTEN_FDS: not listening stream sockets, or too many");
	for (size_t i = 0; i < o->n_listen || p->n_listeners == 0; i++) {
		const char *address = i < o->n_listen ? o->listen[i] : DEFAULT_LISTEN;

		if (p->n_listeners == LISTEN_MAX)
			return complain("more than %d sockets", LISTEN_MAX);
		r = listen_open(address, o->mode, &p->listeners[p->n_listeners]);
		if (r == -EINVAL)
			return complain("%s: write ADDRESS:PORT, as 127.0.0.1:6060, or the path of "
					"a UNIX socket",
					address);
		if (r < 0)
			return complain("%s: %s", address, strerror(-r));
		p->n_listeners++;
	}
	return 0;
}

/* Beyond this machine everybody needs a password. */
static int check_sockets(const struct program *p)
{
	for (size_t i = 0; i < p->n_listeners; i++)
		if (!p->listeners[i].local && !p->server_options.passwords)
			return complain("%s: others than this machine's users could connect: give "
					"--password-file, or listen on 127.0.0.1",
					p->listeners[i].name);
	return 0;
}

static int read_passwords(struct program *p)
{
	const char *path = p->options.password_file;
	int r = path ? passwords_read(path, &p->server_options.passwords) : 0;

	if (r == -EBADMSG)
		return complain("%s: write lines \"name:hash\", hashes as of \"mkpasswd\"", path);
	return r < 0 ? complain("%s: %s", path, strerror(-r)) : 0;
}

static int read_secret(const char *path, char **ret_text)
{
	_cleanup_free_ char *text = calloc(1, SECRET_BYTES + 1);
	FILE *f;

	if (!path)
		return 0;
	f = text ? fopen(path, "re") : NULL;
	if (!f)
		return complain("%s: %s", path, strerror(errno));
	if (fread(text, 1, SECRET_BYTES, f) == 0)
		text[0] = '\0';
	fclose(f);
	if (!*text)
		return complain("%s: is empty", path);
	*ret_text = take_ptr(text);
	return 0;
}

static int say_ready(const struct program *p)
{
	for (size_t i = 0; i < p->n_listeners; i++)
		fprintf(stderr, "profd-http: listening on %s\n", p->listeners[i].name);
	if (p->options.ready_fd >= 0) {
		if (write(p->options.ready_fd, "", 1) != 1)
			return -errno;
		close(p->options.ready_fd);
	}
	return 0;
}

static void wait_for_end(struct server *server, const sigset_t *signals)
{
	const struct timespec second = {.tv_sec = 1};
	int number;

	do {
		number = sigtimedwait(signals, NULL, &second);
		server_tick(server);
	} while (number < 0);
}

static int serve(struct program *p, const sigset_t *signals)
{
	struct server *server;
	int r = server_new(&p->server_options, p->listeners, p->n_listeners, &server);

	if (r == -EBADMSG)
		return complain("%s, %s: not a certificate and its key", p->options.tls_certificate,
				p->options.tls_key);
	if (r < 0)
		return complain("the server: %s: not started", strerror(-r));
	r = say_ready(p);
	if (r >= 0)
		wait_for_end(server, signals);
	server_free(server);
	return r;
}

static int start(struct program *p)
{
	const struct options *o = &p->options;
	sigset_t signals;
	int r;

	p->server_options = (struct server_options){
		.socket = control_path(o->socket),
		.all_users = o->all_users,
		.no_group = o->private,
		.guard = {.hosts = o->hosts, .n_hosts = o->n_hosts},
	};
	/* Before there are threads, which would have them too. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = read_passwords(p);
	if (r >= 0)
		r = read_secret(o->tls_certificate, &p->server_options.tls_certificate);
	if (r >= 0)
		r = read_secret(o->tls_key, &p->server_options.tls_key);
	if (r >= 0)
		r = open_sockets(p);
	if (r >= 0)
		r = check_sockets(p);
	return r < 0 ? r : serve(p, &signals);
}

int main(int argc, char **argv)
{
	struct program p = {};
	int r;

	switch (options_parse(argc, argv, &p.options)) {
	case OPTIONS_DONE:
		return EXIT_SUCCESS;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_RUN:
		break;
	}
	mallopt(M_ARENA_MAX, ARENAS);
	r = start(&p);
	for (size_t i = 0; i < p.n_listeners; i++) {
		listen_close(&p.listeners[i]);
		if (p.listeners[i].is_unix && p.listeners[i].made)
			unlink(p.listeners[i].name);
	}
	passwords_free(p.server_options.passwords);
	free(p.server_options.tls_certificate);
	free(p.server_options.tls_key);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
