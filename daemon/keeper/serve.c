/*
 * A verb's request has one length, or one plus the strings whose lengths it says.
 * What fails that, or has a number where there should be zero, is -EBADMSG, and what
 * may not be had is -EPERM; both are counted as refused. The engine never asks like
 * that, unless it has been taken over.
 *
 * The keeper does not wait for the engine: it asks once and then reads the answer, so
 * there is always room for one. If there is none, it is no engine of ours.
 */
#include "daemon/keeper/serve.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/keeper/pass.h"
#include "daemon/keeper/permit.h"
#include "daemon/keeper/wire.h"
#include "profd/base.h"

struct serve {
	struct keeper *keeper;
	pid_t engine, starter;
	uint32_t engines;
	uint64_t requests, refused;
	uint64_t cpu_ns; /* this process's, when it answered last */
	const char *notes;
	void *lent; /* a ring's mapping; NULL: none */
	size_t lent_bytes;

	/* the request in hand */
	union {
		struct wire_head head;
		struct wire_event event;
		struct wire_lend lend;
		struct wire_file file;
		struct wire_thread thread;
		struct wire_tracepoint tracepoint;
		struct wire_stack stack;
		struct wire_stop stop;
		struct wire_mapped mapped;
		struct wire_perf_map perf_map;
		struct wire_debug debug;
		uint8_t bytes[WIRE_REQUEST_BYTES + 1];
	} in;
	size_t in_bytes;
	int in_fd;

	/* its answer */
	struct {
		struct wire_answer head;
		uint8_t bytes[WIRE_BYTES];
	} out;
	size_t out_bytes;
};

int serve_new(struct keeper *keeper, struct serve **ret_serve)
{
	struct serve *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->keeper = keeper;
	s->notes = "";
	*ret_serve = s;
	return 0;
}

static void let_go(struct serve *s)
{
	if (s->lent)
		munmap(s->lent, s->lent_bytes);
	s->lent = NULL;
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	let_go(s);
	free(s);
}

void serve_start_engine(struct serve *s, pid_t engine)
{
	let_go(s);
	keeper_rest(s->keeper);
	s->engine = engine;
	s->engines++;
	s->requests = s->refused = 0;
	s->cpu_ns = clock_cpu_ns();
}

void serve_describe(struct serve *s, pid_t starter, const char *notes)
{
	s->starter = starter;
	s->notes = notes;
}

/* ---- strings behind a request */

/* Copies @bytes of the request at @at as a string. NULL if there are none. Not with an
 * end inside. */
static int take_string(struct serve *s, size_t at, size_t bytes, char ret[PROFD_MAX_PATH],
		       const char **ret_string)
{
	if (bytes == 0) {
		*ret_string = NULL;
		return 0;
	}
	if (memchr(s->in.bytes + at, '\0', bytes))
		return -EBADMSG;
	memcpy(ret, s->in.bytes + at, bytes);
	ret[bytes] = '\0';
	*ret_string = ret;
	return 0;
}

/* ---- the verbs: a descriptor, 0 or -errno */

static int do_event(struct serve *s)
{
	struct wire_event *m = &s->in.event;
	int r;

	if (m->zero != 0)
		return -EBADMSG;
	r = permit_event(&m->attr, m->head.pid, m->cpu, s->engine);
	return r < 0 ? r : keeper_open_event(s->keeper, &m->attr, m->head.pid, m->cpu, 0);
}

/* The kernel charges a ring to whoever maps it first, and lets others map it too. */
static int do_lend(struct serve *s)
{
	const struct wire_lend *m = &s->in.lend;
	size_t bytes;
	void *p;
	int r;

	if (m->head.pid != 0 || s->in_fd < 0)
		return -EBADMSG;
	r = permit_ring(s->in_fd, m->bytes);
	if (r < 0)
		return r;
	bytes = (size_t)m->bytes + (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->in_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	s->lent = p;
	s->lent_bytes = bytes;
	return 0;
}

static int do_open(struct serve *s)
{
	const struct wire_file *m = &s->in.file;
	int r = m->zero != 0 ? -EBADMSG : permit_open((enum keeper_file)m->file);

	return r < 0 ? r : keeper_open_file(s->keeper, m->head.pid, (enum keeper_file)m->file);
}

/* @got bytes are in the answer, or it is -errno. */
static int give_bytes(struct serve *s, ssize_t got)
{
	if (got < 0)
		return (int)got;
	s->out_bytes = (size_t)got;
	return 0;
}

static int do_read(struct serve *s)
{
	const struct wire_file *m = &s->in.file;
	int r = m->zero != 0 ? -EBADMSG : permit_read((enum keeper_file)m->file);

	if (r < 0)
		return r;
	return give_bytes(s, keeper_read_file(s->keeper, m->head.pid, (enum keeper_file)m->file,
					      (char *)s->out.bytes, WIRE_READ_BYTES));
}

static int do_thread(struct serve *s)
{
	const struct wire_thread *m = &s->in.thread;

	return give_bytes(s, keeper_read_thread(s->keeper, m->head.pid, m->tid,
						(enum keeper_thread_file)m->file,
						(char *)s->out.bytes, WIRE_READ_BYTES));
}

static int do_machine(struct serve *s)
{
	const struct wire_file *m = &s->in.file;

	if (m->zero != 0 || m->head.pid != 0)
		return -EBADMSG;
	return keeper_open_machine(s->keeper, (enum keeper_machine)m->file);
}

static int do_tracepoint(struct serve *s)
{
	const struct wire_tracepoint *m = &s->in.tracepoint;

	if (m->head.pid != 0 || !memchr(m->system, '\0', sizeof(m->system)) ||
	    !memchr(m->name, '\0', sizeof(m->name)))
		return -EBADMSG;
	return keeper_open_tracepoint(s->keeper, m->system, m->name);
}

static int do_stack(struct serve *s)
{
	const struct wire_stack *m = &s->in.stack;
	const uint8_t *bytes;
	ssize_t n;
	int r;

	if (m->zero != 0)
		return -EBADMSG;
	r = permit_stack(s->keeper, m->head.pid, m->tid, m->sp);
	if (r < 0)
		return r;
	n = keeper_read_stack(s->keeper, m->head.pid, m->tid, m->sp, &bytes);
	if (n > 0)
		memcpy(s->out.bytes, bytes, (size_t)n);
	return give_bytes(s, n);
}

/* How many a second, peek.c limits. */
static int do_stop(struct serve *s)
{
	const struct wire_stop *m = &s->in.stop;
	struct peek_thread thread;
	const uint8_t *bytes;
	ssize_t n;

	if (m->zero != 0)
		return -EBADMSG;
	n = keeper_stop_thread(s->keeper, m->head.pid, m->tid, &thread, &bytes);
	if (n < 0)
		return (int)n;
	memcpy(s->out.bytes, &thread, sizeof(thread));
	memcpy(s->out.bytes + sizeof(thread), bytes, (size_t)n);
	return give_bytes(s, (ssize_t)sizeof(thread) + n);
}

static int do_rest(struct serve *s)
{
	if (s->in.head.pid != 0)
		return -EBADMSG;
	keeper_rest(s->keeper);
	return 0;
}

static int do_mapped(struct serve *s)
{
	const struct wire_mapped *m = &s->in.mapped;
	char room[PROFD_MAX_PATH];
	const char *path;
	int r;

	if (m->zero != 0 || m->path_bytes >= PROFD_MAX_PATH ||
	    s->in_bytes != sizeof(*m) + m->path_bytes)
		return -EBADMSG;
	r = take_string(s, sizeof(*m), m->path_bytes, room, &path);
	return r < 0 ? r : keeper_open_mapped(s->keeper, m->head.pid, m->start, m->end, path);
}

static int do_program(struct serve *s)
{
	return keeper_open_program(s->keeper, s->in.head.pid);
}

static int do_perf_map(struct serve *s)
{
	const struct wire_perf_map *m = &s->in.perf_map;
	int r = permit_perf_map(s->keeper, m->head.pid, m->inner_pid, m->uid, m->max_bytes);

	return r < 0 ? r
		     : keeper_open_perf_map(s->keeper, m->head.pid, m->inner_pid, m->uid,
					    m->max_bytes);
}

static int do_debug(struct serve *s)
{
	const struct wire_debug *m = &s->in.debug;
	char path[PROFD_MAX_PATH], name[PROFD_MAX_PATH];
	struct keeper_debug wanted = {
		.place = (enum keeper_debug_place)m->place,
		.dir = m->dir,
		.in_target = m->in_target,
		.pid = m->head.pid,
		.owner = m->owner,
		.build_id = m->build_id,
		.build_id_bytes = m->build_id_bytes,
	};
	int r;

	if (m->place > KEEPER_DEBUG_SPLIT || m->in_target > 1 || m->zero != 0 ||
	    m->build_id_bytes > WIRE_BUILD_ID_BYTES || m->path_bytes >= PROFD_MAX_PATH ||
	    m->name_bytes >= PROFD_MAX_PATH ||
	    s->in_bytes != sizeof(*m) + m->path_bytes + m->name_bytes)
		return -EBADMSG;
	r = take_string(s, sizeof(*m), m->path_bytes, path, &wanted.path);
	if (r == 0)
		r = take_string(s, sizeof(*m) + m->path_bytes, m->name_bytes, name, &wanted.name);
	return r < 0 ? r : keeper_open_debug(s->keeper, &wanted);
}

static int do_table(struct serve *s)
{
	const struct wire_mapped *m = &s->in.mapped;

	if (m->zero != 0 || m->path_bytes != 0)
		return -EBADMSG;
	return keeper_open_table(s->keeper, m->head.pid, m->start, m->end);
}

static int do_describe(struct serve *s)
{
	struct keeper_description d = {
		.keeper = getpid(),
		.starter = s->starter,
		.requests = s->requests,
		.refused = s->refused,
		.engines = s->engines,
	};

	if (s->in.head.pid != 0)
		return -EBADMSG;
	strncpy(d.notes, s->notes, sizeof(d.notes) - 1);
	memcpy(s->out.bytes, &d, sizeof(d));
	return give_bytes(s, sizeof(d));
}

/* ---- all of them */

static const struct verb {
	size_t bytes;
	bool longer; /* strings follow, whose lengths the verb checks */
	bool with_fd;
	int (*carry_out)(struct serve *s);
} verbs[] = {
	[WIRE_EVENT] = {sizeof(struct wire_event), .carry_out = do_event},
	[WIRE_LEND] = {sizeof(struct wire_lend), .with_fd = true, .carry_out = do_lend},
	[WIRE_OPEN] = {sizeof(struct wire_file), .carry_out = do_open},
	[WIRE_READ] = {sizeof(struct wire_file), .carry_out = do_read},
	[WIRE_THREAD] = {sizeof(struct wire_thread), .carry_out = do_thread},
	[WIRE_MACHINE] = {sizeof(struct wire_file), .carry_out = do_machine},
	[WIRE_TRACEPOINT] = {sizeof(struct wire_tracepoint), .carry_out = do_tracepoint},
	[WIRE_STACK] = {sizeof(struct wire_stack), .carry_out = do_stack},
	[WIRE_STOP] = {sizeof(struct wire_stop), .carry_out = do_stop},
	[WIRE_REST] = {sizeof(struct wire_head), .carry_out = do_rest},
	[WIRE_MAPPED] = {sizeof(struct wire_mapped), .longer = true, .carry_out = do_mapped},
	[WIRE_PROGRAM] = {sizeof(struct wire_head), .carry_out = do_program},
	[WIRE_PERF_MAP] = {sizeof(struct wire_perf_map), .carry_out = do_perf_map},
	[WIRE_DEBUG] = {sizeof(struct wire_debug), .longer = true, .carry_out = do_debug},
	[WIRE_TABLE] = {sizeof(struct wire_mapped), .carry_out = do_table},
	[WIRE_DESCRIBE] = {sizeof(struct wire_head), .carry_out = do_describe},
};

static int carry_out(struct serve *s)
{
	const struct verb *v;

	if (s->in_bytes < sizeof(s->in.head) || s->in_bytes > WIRE_REQUEST_BYTES ||
	    s->in.head.verb >= ARRAY_SIZE(verbs))
		return -EBADMSG;
	v = &verbs[s->in.head.verb];
	if (!v->carry_out || s->in_bytes < v->bytes || (s->in_bytes > v->bytes && !v->longer) ||
	    (s->in_fd >= 0) != v->with_fd)
		return -EBADMSG;
	return v->carry_out(s);
}

static uint64_t take_cpu(struct serve *s)
{
	uint64_t now = clock_cpu_ns(), spent = now - s->cpu_ns;

	s->cpu_ns = now;
	return spent;
}

/* The request is in s->in. Returns the answer's size. */
static size_t answer(struct serve *s, int *ret_fd)
{
	int r;

	let_go(s);
	s->out_bytes = 0;
	s->requests++;
	r = carry_out(s);
	if (r == -EPERM || r == -EBADMSG)
		s->refused++;
	*ret_fd = r > 0 ? r : -1; /* 0 is standard input, and open */
	s->out.head.result = min(r, 0);
	s->out.head.bytes = (uint32_t)s->out_bytes;
	s->out.head.cpu_ns = take_cpu(s);
	return sizeof(s->out.head) + s->out_bytes;
}

size_t serve_answer(struct serve *s, const void *request, size_t bytes, int fd,
		    const void **ret_answer, int *ret_fd)
{
	memcpy(&s->in, request, min(bytes, sizeof(s->in)));
	s->in_bytes = bytes;
	s->in_fd = fd;
	*ret_answer = &s->out;
	return answer(s, ret_fd);
}

/* ---- the socket */

int serve_socket(struct serve *s, int socket)
{
	_cleanup_close_ int in_fd = -1, out_fd = -1;
	ssize_t n = pass_receive(socket, &s->in, sizeof(s->in), MSG_DONTWAIT, &in_fd);
	struct iovec part = {.iov_base = &s->out};

	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	s->in_bytes = (size_t)n;
	s->in_fd = in_fd;
	part.iov_len = answer(s, &out_fd);
	return pass_send(socket, &part, 1, out_fd, MSG_DONTWAIT);
}
