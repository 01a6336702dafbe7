#include "client/http/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: profd-http [OPTIONS]\n"
	"\n"
	"Serves the addresses of Go's net/http/pprof for any program, and /metrics.\n"
	"\n"
	"  --listen ADDRESS    127.0.0.1:6060 by default; [::1]:PORT, :PORT (everywhere),\n"
	"                      /PATH of a UNIX socket; may be given more than once\n"
	"  --mode MODE         of UNIX sockets, octal; 0660 by default\n"
	"  --users own|all     own (the default): a local user sees what the control socket\n"
	"                      shows them. all: everyone who can connect sees everything\n"
	"  --password-file F   ask for a name and password; lines \"name:hash\" as of\n"
	"                      mkpasswd. Beyond this machine nothing is served without\n"
	"  --tls-cert FILE, --tls-key FILE\n"
	"                      serve https; PEM\n"
	"  --host NAME         a name of this server, beside localhost and its addresses\n"
	"  --socket PATH       profd's control socket; $PROFD_SOCKET or\n"
	"                      /run/profd/profd.sock by default\n"
	"  --version, --help\n"
	"\n"
	"Example: profd-http --listen 127.0.0.1:6060\n"
	"         go tool pprof http://localhost:6060/comm/nginx/debug/pprof/heap\n";

enum {
	OPTION_LISTEN = 0x100,
	OPTION_MODE,
	OPTION_USERS,
	OPTION_PASSWORD_FILE,
	OPTION_TLS_CERT,
	OPTION_TLS_KEY,
	OPTION_HOST,
	OPTION_SOCKET,
	OPTION_PRIVATE,
	OPTION_READY_FD,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"mode", required_argument, NULL, OPTION_MODE},
	{"users", required_argument, NULL, OPTION_USERS},
	{"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
	{"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
	{"tls-key", required_argument, NULL, OPTION_TLS_KEY},
	{"host", required_argument, NULL, OPTION_HOST},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"private", no_argument, NULL, OPTION_PRIVATE},		/* of profctl run */
	{"ready-fd", required_argument, NULL, OPTION_READY_FD}, /* likewise */
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static bool bad(const char *what)
{
	fprintf(stderr, "profd-http: %s: see \"profd-http --help\"\n", what);
	return false;
}

static bool parse_number(const char *text, int base, long most, long *ret)
{
	char *end = NULL;

	errno = 0;
	*ret = strtol(text, &end, base);
	return *text >= '0' && *text <= '9' && !*end && !errno && *ret <= most;
}

static bool take_users(struct options *o, const char *text)
{
	o->all_users = strcmp(text, "all") == 0;
	return o->all_users || strcmp(text, "own") == 0 || bad("--users: write own or all");
}

static bool take(struct options *o, int value, const char *text)
{
	long number = 0;

	switch (value) {
	case OPTION_LISTEN:
		if (o->n_listen == LISTEN_MAX)
			return bad("--listen: too many");
		o->listen[o->n_listen++] = text;
		return true;
	case OPTION_MODE:
		if (!parse_number(text, 8, 0777, &number))
			return bad("--mode: write an octal number, as 0660");
		o->mode = (mode_t)number;
		return true;
	case OPTION_USERS:
		return take_users(o, text);
	case OPTION_PASSWORD_FILE:
		o->password_file = text;
		return true;
	case OPTION_TLS_CERT:
		o->tls_certificate = text;
		return true;
	case OPTION_TLS_KEY:
		o->tls_key = text;
		return true;
	case OPTION_HOST:
		if (o->n_hosts == OPTIONS_MAX_HOSTS)
			return bad("--host: too many");
		o->hosts[o->n_hosts++] = text;
		return true;
	case OPTION_SOCKET:
		o->socket = text;
		return true;
	case OPTION_PRIVATE:
		o->private = true;
		return true;
	case OPTION_READY_FD:
		if (!parse_number(text, 10, 1 << 20, &number))
			return bad("--ready-fd: not a descriptor");
		o->ready_fd = (int)number;
		return true;
	default:
		return bad("unknown option, or one without its value");
	}
}

enum options_result options_parse(int argc, char **argv, struct options *ret)
{
	struct options o = {.mode = 0660, .ready_fd = -1};
	int value;

	opterr = 0;
	while ((value = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (value == OPTION_HELP) {
			fputs(help, stdout);
			return OPTIONS_DONE;
		}
		if (value == OPTION_VERSION) {
			puts("profd-http " PROFD_VERSION);
			return OPTIONS_DONE;
		}
		if (!take(&o, value, optarg))
			return OPTIONS_BAD;
	}
	if (optind < argc) {
		bad("it takes only options");
		return OPTIONS_BAD;
	}
	if (!o.tls_certificate != !o.tls_key) {
		bad("--tls-cert and --tls-key: give both");
		return OPTIONS_BAD;
	}
	*ret = o;
	return OPTIONS_RUN;
}
