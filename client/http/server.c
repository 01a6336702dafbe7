/*
 * A request is taken in three calls of the library: its target, as it stood on
 * the wire; its headers, after which it may be refused; its body, at most
 * PROFD_HTTP_MAX_BODY_BYTES, and its end, after which it is answered. All that
 * is decided before its end is decided by headers alone.
 *
 * Who asks, and with which rights profd is asked for them:
 *   with a password, where there are any: ours;
 *   a local user: root, us, and group profd: ours; others: those of that user;
 *   anyone else: none.
 */
#include "client/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/http/connection.h"
#include "client/http/endpoint.h"
#include "profd/base.h"
#include "profd/limits.h"

#define STACK_BYTES (512 * 1024)

struct way_in { /* what a listening socket's requests come with */
	struct server *server;
	struct MHD_Daemon *daemon;
	bool is_unix;
};

struct server {
	const struct server_options *options;
	struct way_in ways[LISTEN_MAX];
	size_t n;
	struct connections connections;
	struct cache *cache;
	int64_t start_unix_ns;
	atomic_uint_fast64_t requests, refused;
};

struct request {
	char *target;
	bool checked; /* its headers were found right */
	bool too_large;
	char *body;
	size_t n_body;
};

/* ---- answers */

static void add_headers(struct MHD_Response *r, const struct reply *reply)
{
	char disposition[128];

	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	if (!reply->sniff)
		(void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (reply->go_pprof)
		(void)MHD_add_response_header(r, "X-Go-Pprof", "1");
	if (reply->location)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, reply->location);
	if (reply->ask_password)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
					      "Basic realm=\"profd\", charset=\"UTF-8\"");
	if (!reply->filename)
		return;
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", reply->filename);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
}

static struct MHD_Response *make_response(struct reply *reply, uint64_t *ret_bytes)
{
	struct MHD_Response *r;
	struct stat st;

	if (reply->fd < 0) {
		*ret_bytes = reply->n_text;
		r = MHD_create_response_from_buffer(reply->n_text, reply->text,
						    MHD_RESPMEM_MUST_FREE);
		if (r)
			reply->text = NULL;
		return r;
	}
	if (fstat(reply->fd, &st) < 0)
		return NULL;
	*ret_bytes = (uint64_t)st.st_size;
	r = MHD_create_response_from_fd64((uint64_t)st.st_size, reply->fd);
	if (r)
		reply->fd = -1;
	return r;
}

static struct connection *connection_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Takes @reply over. */
static enum MHD_Result send_reply(struct server *s, struct MHD_Connection *c, struct reply *reply)
{
	struct MHD_Response *r;
	enum MHD_Result result = MHD_NO;
	unsigned status = reply->status;
	uint64_t bytes = 0;

	r = make_response(reply, &bytes);
	if (r) {
		add_headers(r, reply);
		connection_set_deadline(&s->connections, connection_of(c),
					PROFD_HTTP_SEND_SECONDS + bytes / PROFD_HTTP_SEND_BYTES);
		result = MHD_queue_response(c, status, r);
		MHD_destroy_response(r);
	}
	reply_done(reply);
	return result;
}

/* ---- who asks */

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static bool has_password(struct server *s, struct MHD_Connection *c)
{
	char *password = NULL, *name = MHD_basic_auth_get_username_password(c, &password);
	bool right = name && password && passwords_check(s->options->passwords, name, password);

	if (password)
		explicit_bzero(password, strlen(password));
	MHD_free(name);
	MHD_free(password);
	return right;
}

static const struct identity *identify(struct connection *connection)
{
	if (!connection->identified)
		identity_of(connection->fd, &connection->identity);
	connection->identified = true;
	return &connection->identity;
}

/* Fills in @ret, or an error. */
static bool authorize(struct server *s, struct MHD_Connection *c, bool is_unix, struct ask *ret,
		      struct reply *error)
{
	struct connection *connection = connection_of(c);
	const struct identity *who;

	*ret = (struct ask){.socket = s->options->socket, .client_fd = -1};
	if (connection)
		ret->client_fd = connection->fd;
	if (s->options->passwords && !is_unix) {
		if (has_password(s, c))
			return true;
		reply_error(error, 401, "a name and a password are needed");
		error->ask_password = true;
		return false;
	}
	if (s->options->all_users)
		return true;
	who = connection ? identify(connection) : NULL;
	if (!who || !who->local) {
		reply_error(error, 403, "which user of this machine asks cannot be told");
		return false;
	}
	ret->uid = who->uid;
	ret->narrowed =
		who->uid != 0 && who->uid != geteuid() && (s->options->no_group || !who->group);
	return true;
}

/* By its headers alone. */
static bool check(struct server *s, struct MHD_Connection *c, const char *method, bool is_unix,
		  struct reply *error)
{
	const char *host = header(c, MHD_HTTP_HEADER_HOST);

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
	    strcmp(method, "POST") != 0) {
		reply_plain_error(error, 405, "405 method not allowed");
		return false;
	}
	if (is_unix)
		return true;
	if (!guard_allows_host(&s->options->guard, host)) {
		reply_plain_error(error, 403,
				  "403 Host: not a name of this server: use its address, or "
				  "start profd-http with --host NAME");
		return false;
	}
	if (!guard_allows_origin(header(c, "Sec-Fetch-Site"), header(c, "Origin"), host)) {
		reply_plain_error(error, 403, "403 a page of another site may not ask");
		return false;
	}
	return true;
}

/* ---- requests */

static void fill_counts(struct server *s, struct endpoint_counts *ret)
{
	*ret = (struct endpoint_counts){
		.start_unix_ns = s->start_unix_ns,
		.requests = atomic_load(&s->requests),
		.refused = atomic_load(&s->refused),
	};
	connections_count(&s->connections, &ret->connections, &ret->closed);
}

static enum MHD_Result serve(struct server *s, struct MHD_Connection *c, const struct request *q,
			     const char *method, const struct ask *who)
{
	struct reply reply = REPLY_INIT;
	struct path path = {};
	struct endpoint e = {
		.path = &path,
		.who = *who,
		.cache = s->cache,
		.host = header(c, MHD_HTTP_HEADER_HOST) ?: "",
		.post = strcmp(method, "POST") == 0,
		.body = q->body ?: "",
	};
	enum MHD_Result result;

	atomic_fetch_add(&s->requests, 1);
	fill_counts(s, &e.counts);
	if (q->too_large)
		reply_plain_error(&reply, 413, "413 Request Entity Too Large");
	else if (path_parse(q->target, &path) < 0)
		reply_plain_error(&reply, 500, "out of memory");
	else
		endpoint_serve(&e, &reply);
	result = send_reply(s, c, &reply);
	path_done(&path);
	return result;
}

static enum MHD_Result refuse(struct server *s, struct MHD_Connection *c, struct reply *reply)
{
	atomic_fetch_add(&s->requests, 1);
	atomic_fetch_add(&s->refused, 1);
	return send_reply(s, c, reply);
}

/* What is too much is read on, in the time there is, so that the answer is heard. */
static void take_body(struct request *q, const char *bytes, size_t n)
{
	if (q->too_large)
		return;
	if (!q->body)
		q->body = calloc(1, PROFD_HTTP_MAX_BODY_BYTES + 1);
	if (!q->body || n > PROFD_HTTP_MAX_BODY_BYTES - q->n_body) {
		q->too_large = true;
		return;
	}
	memcpy(q->body + q->n_body, bytes, n);
	q->n_body += n;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *n_data, void **context)
{
	struct way_in *in = userdata;
	struct server *s = in->server;
	struct request *q = *context;
	struct reply reply = REPLY_INIT;
	struct ask who;

	if (!q || !q->target)
		return MHD_NO;
	if (!q->checked) {
		if (!check(s, c, method, in->is_unix, &reply))
			return refuse(s, c, &reply);
		q->checked = true;
		return MHD_YES;
	}
	if (*n_data > 0) {
		take_body(q, data, *n_data);
		*n_data = 0;
		return MHD_YES;
	}
	connection_set_deadline(&s->connections, connection_of(c), 0);
	if (!authorize(s, c, in->is_unix, &who, &reply))
		return refuse(s, c, &reply);
	return serve(s, c, q, method, &who);
}

/* The library's first word of a request: its time begins. */
static void *on_target(void *userdata, const char *target, struct MHD_Connection *c)
{
	struct way_in *in = userdata;
	struct request *q = calloc(1, sizeof(*q));

	connection_set_deadline(&in->server->connections, connection_of(c),
				PROFD_HTTP_REQUEST_SECONDS);
	if (q)
		q->target = strdup(target);
	return q;
}

static void on_completed(void *userdata, struct MHD_Connection *c, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct way_in *in = userdata;
	struct request *q = *context;

	connection_set_deadline(&in->server->connections, connection_of(c),
				PROFD_HTTP_IDLE_SECONDS);
	*context = NULL;
	if (!q)
		return;
	free(q->target);
	free(q->body);
	free(q);
}

static void on_connection(void *userdata, struct MHD_Connection *c, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct way_in *in = userdata;
	const union MHD_ConnectionInfo *info;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		connection_free(&in->server->connections, *socket_context);
		*socket_context = NULL;
		return;
	}
	info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info)
		*socket_context = connection_new(&in->server->connections, info->connect_fd);
}

/* What the library would print is of peers' doings, and counted or answered. */
__attribute__((format(printf, 2, 0))) static void say_nothing(void *userdata, const char *format,
							      va_list args)
{
}

static int start(struct way_in *in, struct listener *l)
{
	const struct server_options *o = in->server->options;
	bool tls = o->tls_certificate && !l->is_unix;
	struct MHD_OptionItem tls_items[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, o->tls_certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, o->tls_key},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem none = {MHD_OPTION_END, 0, NULL};
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
			 MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;

	in->is_unix = l->is_unix;
	/* The logger comes first: what precedes it would be printed. */
	in->daemon = MHD_start_daemon(
		flags | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, in,
		MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET, l->fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)PROFD_HTTP_MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)PROFD_HTTP_MAX_HEADER_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_THREAD_STACK_SIZE,
		(size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, in, MHD_OPTION_NOTIFY_COMPLETED, on_completed, in,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, in, MHD_OPTION_ARRAY,
		tls ? tls_items : &none, MHD_OPTION_END);
	if (!in->daemon)
		return tls ? -EBADMSG : -ENOMEM;
	l->fd = -1; /* the library's */
	return 0;
}

int server_new(const struct server_options *options, struct listener *listeners, size_t n,
	       struct server **ret_server)
{
	struct server *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	if (!s)
		return r;
	s->options = options;
	s->start_unix_ns = clock_unix_ns();
	connections_init(&s->connections);
	s->cache = cache_new();
	if (!s->cache)
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n && i < LISTEN_MAX; i++) {
		s->ways[i].server = s;
		r = start(&s->ways[i], &listeners[i]);
		s->n += r >= 0;
	}
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		MHD_stop_daemon(s->ways[i].daemon);
	connections_done(&s->connections);
	cache_free(s->cache);
	free(s);
}

void server_tick(struct server *s)
{
	connections_tick(&s->connections);
	cache_tidy(s->cache);
}
