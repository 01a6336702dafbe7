/*
 * A request goes out, and its answer is waited for: the keeper is quick, and what an
 * engine asks for it needs before it can go on. After an error of the socket the
 * keeper has gone, and every verb says so; the loop hears of the hang-up and ends.
 *
 * Files that the keeper reads itself are the small ones (permit.h); of the others a
 * descriptor comes, which is read here.
 */
#include "daemon/keeper/remote.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "daemon/keeper/keeper-state.h"
#include "daemon/keeper/pass.h"
#include "daemon/keeper/wire.h"
#include "profd/base.h"

struct keeper_answer {
	struct wire_answer head;
	uint8_t bytes[WIRE_BYTES];
};
static_assert(sizeof(struct keeper_answer) == WIRE_ANSWER_BYTES, "no holes");

/* 0 or -errno. A descriptor that came is in *ret_fd. */
static int ask_parts(struct keeper *k, struct iovec *parts, size_t n_parts, int fd, int *ret_fd)
{
	const struct wire_answer *head = &k->answer->head;
	ssize_t n;

	*ret_fd = -1;
	if (pass_send(k->socket, parts, n_parts, fd, 0) < 0)
		return -ECONNRESET;
	n = pass_receive(k->socket, k->answer, sizeof(*k->answer), 0, ret_fd);
	if (n < (ssize_t)sizeof(*head) || (size_t)n != sizeof(*head) + head->bytes)
		return -ECONNRESET;
	k->spent_ns += head->cpu_ns;
	return min(head->result, 0);
}

static int ask_for_fd(struct keeper *k, struct iovec *parts, size_t n_parts)
{
	_cleanup_close_ int fd = -1;
	int r = ask_parts(k, parts, n_parts, -1, &fd);

	if (r < 0)
		return r;
	/* the keeper had one to give: it was lost for want of room in our own table */
	return fd < 0 ? -EMFILE : take_fd(&fd);
}

static int open_simple(struct keeper *k, void *request, size_t bytes)
{
	struct iovec part = {.iov_base = request, .iov_len = bytes};

	return ask_for_fd(k, &part, 1);
}

/* Bytes are in k->answer. Their number or -errno. */
static ssize_t ask_for_bytes(struct keeper *k, void *request, size_t bytes)
{
	struct iovec part = {.iov_base = request, .iov_len = bytes};
	_cleanup_close_ int fd = -1;
	int r = ask_parts(k, &part, 1, -1, &fd);

	return r < 0 ? r : (ssize_t)k->answer->head.bytes;
}

static ssize_t read_simple(struct keeper *k, void *request, size_t bytes, char *ret, size_t size)
{
	ssize_t n = ask_for_bytes(k, request, bytes);

	if (n < 0)
		return n;
	n = min(n, (ssize_t)size);
	memcpy(ret, k->answer->bytes, (size_t)n);
	return n;
}

/* ---- the verbs */

int remote_open_event(struct keeper *k, const struct perf_event_attr *attr, pid_t pid, int cpu)
{
	struct wire_event m = {.head = {WIRE_EVENT, pid}, .cpu = cpu, .attr = *attr};

	return open_simple(k, &m, sizeof(m));
}

int remote_lend_ring(struct keeper *k, int event_fd, size_t bytes)
{
	struct wire_lend m = {.head = {WIRE_LEND, 0}, .bytes = bytes};
	struct iovec part = {.iov_base = &m, .iov_len = sizeof(m)};
	_cleanup_close_ int fd = -1;

	return ask_parts(k, &part, 1, event_fd, &fd);
}

int remote_open_file(struct keeper *k, pid_t pid, enum keeper_file file)
{
	struct wire_file m = {.head = {WIRE_OPEN, pid}, .file = file};

	return open_simple(k, &m, sizeof(m));
}

ssize_t remote_read_file(struct keeper *k, pid_t pid, enum keeper_file file, char *ret, size_t size)
{
	struct wire_file m = {.head = {WIRE_READ, pid}, .file = file};

	return read_simple(k, &m, sizeof(m), ret, size);
}

ssize_t remote_read_thread(struct keeper *k, pid_t pid, pid_t tid, enum keeper_thread_file file,
			   char *ret, size_t size)
{
	struct wire_thread m = {.head = {WIRE_THREAD, pid}, .tid = tid, .file = file};

	return read_simple(k, &m, sizeof(m), ret, size);
}

int remote_open_machine(struct keeper *k, enum keeper_machine file)
{
	struct wire_file m = {.head = {WIRE_MACHINE, 0}, .file = file};

	return open_simple(k, &m, sizeof(m));
}

int remote_open_tracepoint(struct keeper *k, const char *system, const char *name)
{
	struct wire_tracepoint m = {.head = {WIRE_TRACEPOINT, 0}};

	if (strlen(system) >= sizeof(m.system) || strlen(name) >= sizeof(m.name))
		return -EINVAL;
	strcpy(m.system, system);
	strcpy(m.name, name);
	return open_simple(k, &m, sizeof(m));
}

ssize_t remote_read_stack(struct keeper *k, pid_t pid, pid_t tid, uint64_t sp,
			  const uint8_t **ret_bytes)
{
	struct wire_stack m = {.head = {WIRE_STACK, pid}, .tid = tid, .sp = sp};
	ssize_t n = ask_for_bytes(k, &m, sizeof(m));

	if (n > 0)
		*ret_bytes = k->answer->bytes;
	return n;
}

ssize_t remote_stop_thread(struct keeper *k, pid_t pid, pid_t tid, struct peek_thread *ret_thread,
			   const uint8_t **ret_stack)
{
	struct wire_stop m = {.head = {WIRE_STOP, pid}, .tid = tid};
	ssize_t n = ask_for_bytes(k, &m, sizeof(m));

	if (n < (ssize_t)sizeof(*ret_thread))
		return n < 0 ? n : -EBADMSG;
	memcpy(ret_thread, k->answer->bytes, sizeof(*ret_thread));
	*ret_stack = k->answer->bytes + sizeof(*ret_thread);
	return n - (ssize_t)sizeof(*ret_thread);
}

void remote_rest(struct keeper *k)
{
	struct wire_head m = {WIRE_REST, 0};

	(void)ask_for_bytes(k, &m, sizeof(m));
}

int remote_open_mapped(struct keeper *k, pid_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct wire_mapped m = {.head = {WIRE_MAPPED, pid}, .start = start, .end = end};
	struct iovec parts[] = {{.iov_base = &m, .iov_len = sizeof(m)},
				{.iov_base = (void *)path, .iov_len = path ? strlen(path) : 0}};

	if (parts[1].iov_len >= PROFD_MAX_PATH)
		return -ENAMETOOLONG;
	m.path_bytes = (uint32_t)parts[1].iov_len;
	return ask_for_fd(k, parts, ARRAY_SIZE(parts));
}

int remote_open_program(struct keeper *k, pid_t pid)
{
	struct wire_head m = {WIRE_PROGRAM, pid};

	return open_simple(k, &m, sizeof(m));
}

int remote_open_perf_map(struct keeper *k, pid_t pid, pid_t inner_pid, uid_t uid,
			 uint64_t max_bytes)
{
	struct wire_perf_map m = {.head = {WIRE_PERF_MAP, pid},
				  .inner_pid = inner_pid,
				  .uid = uid,
				  .max_bytes = max_bytes};

	return open_simple(k, &m, sizeof(m));
}

int remote_open_debug(struct keeper *k, const struct keeper_debug *wanted)
{
	struct wire_debug m = {
		.head = {WIRE_DEBUG, wanted->pid},
		.place = wanted->place,
		.dir = wanted->dir,
		.in_target = wanted->in_target,
		.owner = wanted->owner,
		.build_id_bytes = (uint32_t)wanted->build_id_bytes,
	};
	struct iovec parts[] = {
		{.iov_base = &m, .iov_len = sizeof(m)},
		{.iov_base = (void *)wanted->path,
		 .iov_len = wanted->path ? strlen(wanted->path) : 0},
		{.iov_base = (void *)wanted->name,
		 .iov_len = wanted->name ? strlen(wanted->name) : 0},
	};

	if (wanted->build_id_bytes > sizeof(m.build_id))
		return -EINVAL;
	if (parts[1].iov_len >= PROFD_MAX_PATH || parts[2].iov_len >= PROFD_MAX_PATH)
		return -ENAMETOOLONG;
	m.path_bytes = (uint32_t)parts[1].iov_len;
	m.name_bytes = (uint32_t)parts[2].iov_len;
	if (wanted->build_id_bytes > 0)
		memcpy(m.build_id, wanted->build_id, wanted->build_id_bytes);
	return ask_for_fd(k, parts, ARRAY_SIZE(parts));
}

int remote_open_table(struct keeper *k, pid_t pid, uint64_t start, uint64_t end)
{
	struct wire_mapped m = {.head = {WIRE_TABLE, pid}, .start = start, .end = end};

	return open_simple(k, &m, sizeof(m));
}

int remote_describe(struct keeper *k, struct keeper_description *ret_description)
{
	struct wire_head m = {WIRE_DESCRIBE, 0};
	ssize_t n = ask_for_bytes(k, &m, sizeof(m));

	if (n != sizeof(*ret_description))
		return n < 0 ? (int)n : -EBADMSG;
	memcpy(ret_description, k->answer->bytes, sizeof(*ret_description));
	ret_description->notes[sizeof(ret_description->notes) - 1] = '\0';
	return 0;
}
