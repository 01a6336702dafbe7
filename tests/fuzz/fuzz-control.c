/*
 * What peers may say to the control socket, from the packet to the verb: a real
 * server, in its loop, and a peer that sends what the input says. The input is a
 * row of messages, each with a byte of how before it (a connection of its own, a
 * descriptor with it, as an ordinary user, from a private daemon's peer, cut short,
 * with the next one before anybody looks) and one of how long it is.
 *
 * Each message is then said again VARIANTS times, each time with something else about
 * it changed, over connections of their own: an input's coverage costs as much to look
 * at as some dozens of messages do to answer. The changes follow from the input alone.
 *
 * A request for all processes is not passed on: that reads this machine's /proc,
 * which is nobody's message and takes its time.
 *
 * What is counted is messages that the server was given; their number is said at the
 * end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/control/ended.h"
#include "daemon/control/last.h"
#include "daemon/control/server.h"
#include "profd/base.h"
#include "proto/control.h"
#include "proto/control.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOBODY	 65534
#define VARIANTS 16

enum how {
	HOW_ANEW = 1,	  /* over a connection of its own */
	HOW_TABLE = 2,	  /* with a descriptor */
	HOW_TWO = 4,	  /* and another one */
	HOW_NOBODY = 8,	  /* as an ordinary user; if anew */
	HOW_PRIVATE = 16, /* the daemon is one command's own */
	HOW_LEAVE = 32,	  /* and hangs up before it is read */
	HOW_READ = 64,	  /* first reads what there is to read */
	HOW_MORE = 128,	  /* and the next one is sent before this one is read */
};

static struct control_context ctx;
static struct server *server;
static char dir[] = "/tmp/fuzz-control-XXXXXX", path[64];
static int null_fd = -1;
static uint64_t n_messages;

static void nothing(struct engine *e)
{
}

static int attach(struct engine *e, pid_t pid, uid_t uid, int table_fd)
{
	struct heap_client *client;
	int r = heap_clients_add(ctx.clients, pid, uid, table_fd, &client);

	if (r == 0)
		heap_clients_remove(ctx.clients, client);
	return r;
}

static int watch(struct engine *e, pid_t pid, unsigned hz, char *why, size_t size)
{
	snprintf(why, size, "not here");
	return -ENOTSUP;
}

static int offcpu_open(struct engine *e, struct window **ret, char *why, size_t size)
{
	snprintf(why, size, "not here");
	return -ENOTSUP;
}

static void offcpu_close(struct engine *e, struct window *w)
{
}

static int threads(struct engine *e, const struct threads_ask *ask, threads_done_t done,
		   void *userdata)
{
	return -ENOTSUP;
}

static int trace_open(struct engine *e, const struct threads_ask *ask, struct tracing **ret,
		      char *why, size_t size)
{
	snprintf(why, size, "not here");
	return -ENOTSUP;
}

static void trace_close(struct engine *e, struct tracing *t)
{
}

static void trace_mark(struct engine *e, enum profile_type type, pid_t pid)
{
}

static void end(void)
{
	fprintf(stderr, "%llu messages\n", (unsigned long long)n_messages);
	server_free(server); /* the socket goes with it */
	rmdir(dir);
}

static bool start(void)
{
	static const struct store_limits none;

	ctx.drain = ctx.scan = ctx.quit = nothing;
	ctx.attach = attach;
	ctx.watch = watch;
	ctx.offcpu_open = offcpu_open;
	ctx.offcpu_close = offcpu_close;
	ctx.threads = threads;
	ctx.trace_open = trace_open;
	ctx.trace_close = trace_close;
	ctx.trace_mark = trace_mark;
	ctx.private = true; /* no pause between connections */
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || !mkdtemp(dir) || sd_event_new(&ctx.loop) < 0 ||
	    keeper_new_local(&ctx.keeper) < 0 || module_table_new(&ctx.modules) < 0 ||
	    process_table_new(ctx.keeper, ctx.modules, &ctx.processes) < 0 ||
	    heap_clients_new(ctx.keeper, &ctx.clients) < 0 || allocators_new(&ctx.allocators) < 0 ||
	    windows_new(&ctx.windows) < 0 || store_new(dir, &none, &ctx.store) < 0 ||
	    scribe_new(ctx.loop, ctx.modules, ctx.keeper, "/bin/true", &ctx.scribe) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/socket", dir);
	return server_new(&ctx, path, -1, &server) == 0 && atexit(end) == 0;
}

static void run(void)
{
	for (int i = 0; i < 64 && sd_event_run(ctx.loop, 0) > 0; i++)
		;
}

/*
 * A peer that has used up its user's time is not listened to for a while, be it gone;
 * how much that is depends on the machine. So the loop goes on until it is forgotten.
 */
static void run_until_all_have_left(void)
{
	run();
	for (int i = 0; i < 600 && server_peers(server) > 0; i++)
		if (sd_event_run(ctx.loop, 100000) < 0)
			abort();
}

/* Of this thread: the C library would have every other one stop for it, too. */
static bool become(uid_t uid)
{
	return syscall(SYS_setresuid, -1, uid, -1) == 0;
}

static int connect_as(uid_t uid)
{
	int fd;

	if (uid == 0 || geteuid() != 0)
		return control_connect(path);
	if (!become(uid))
		return -1;
	fd = control_connect(path);
	if (!become(0))
		abort();
	return fd;
}

static void read_answers(int fd)
{
	static char buffer[PROFD_MAX_PACKET];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static bool asks_for_all(const uint8_t *bytes, size_t n)
{
	Profd__Request *request = profd__request__unpack(NULL, n, bytes);
	bool all = request && request->verb_case == PROFD__REQUEST__VERB_LIST && request->list->all;

	if (request)
		profd__request__free_unpacked(request, NULL);
	return all;
}

static void pass_fds(struct msghdr *msg, struct cmsghdr *cmsg, const int *fds, size_t n)
{
	msg->msg_control = cmsg;
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
}

static void say(int fd, unsigned how, const uint8_t *bytes, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	_cleanup_close_ int table = -1;
	ssize_t sent;

	if (how & HOW_TABLE) {
		table = memfd_create("table", MFD_CLOEXEC);
		pass_fds(&msg, &control.align, (int[]){table, null_fd}, how & HOW_TWO ? 2 : 1);
	}
	sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN) { /* there are so many unread */
		run();
		sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	n_messages += sent >= 0;
}

static void one_message(int *fd, unsigned how, const uint8_t *bytes, size_t n)
{
	if (asks_for_all(bytes, n))
		return;
	ctx.private = how & HOW_PRIVATE;
	if (how & HOW_ANEW || *fd < 0) {
		profd_closep(fd);
		*fd = connect_as(how & HOW_NOBODY ? NOBODY : 0);
		if (*fd < 0)
			return;
	}
	if (how & HOW_READ)
		read_answers(*fd);
	say(*fd, how, bytes, n);
	if (how & HOW_LEAVE) {
		close(*fd);
		*fd = -1;
	}
	if (!(how & HOW_MORE))
		run();
}

/* ---- variants */

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t hash(const uint8_t *bytes, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	return h;
}

/* Changes @bytes, with room for one more. Returns how many there are then. */
static size_t change(uint64_t *state, uint8_t *bytes, size_t n)
{
	static const uint8_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff};
	uint64_t r = draw(state);
	size_t at = n > 0 ? (r >> 8) % n : 0;
	uint8_t byte = (uint8_t)(r >> 40);

	switch (n > 0 ? r % 6 : 3) {
	case 0:
		bytes[at] ^= (uint8_t)(1 << byte % 8);
		return n;
	case 1:
		bytes[at] = byte;
		return n;
	case 2:
		bytes[at] = edges[byte % ARRAY_SIZE(edges)];
		return n;
	case 3:
		memmove(bytes + at + 1, bytes + at, n - at);
		bytes[at] = byte;
		return n + 1;
	case 4:
		memmove(bytes + at, bytes + at + 1, n - at - 1);
		return n - 1;
	default:
		return at;
	}
}

static void say_variants(uint64_t *state, const uint8_t *bytes, size_t n)
{
	int fds[VARIANTS];
	size_t n_fds = 0;

	ctx.private = draw(state) % 2;
	for (int i = 0; i < VARIANTS; i++) {
		uint8_t varied[256 + 3];
		size_t varied_n = n;
		uint64_t r = draw(state);
		int fd;

		memcpy(varied, bytes, n);
		for (uint64_t times = r % 3 + 1; times > 0; times--)
			varied_n = change(state, varied, varied_n);
		fd = asks_for_all(varied, varied_n) ? -1 : control_connect(path);
		if (fd < 0)
			continue;
		say(fd, (r >> 8) % 16 == 0 ? HOW_TABLE : 0, varied, varied_n);
		if ((r >> 16) % 4 == 0)
			fds[n_fds++] = fd;
		else
			close(fd);
	}
	run();
	for (size_t i = 0; i < n_fds; i++) {
		read_answers(fds[i]);
		close(fds[i]);
	}
	run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t state = hash(data, size);
	int fd = -1;

	if (!server && !start())
		abort();
	while (size >= 2) {
		unsigned how = data[0];
		size_t n = min((size_t)data[1], size - 2);

		one_message(&fd, how, data + 2, n);
		say_variants(&state, data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	profd_closep(&fd);
	run_until_all_have_left();
	if (server_peers(server) > 0)
		abort(); /* whoever has left is forgotten */
	last_files_free(&ctx);
	return 0;
}
