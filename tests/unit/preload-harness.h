/*
 * The other end of test-preload-client's roles: starts one under LD_PRELOAD,
 * takes its table over a socket as profd would, and reads it as it is, for this
 * writer is our own.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profd/heap_table.h"

#define DEADLINE_MS 60000

struct client {
	pid_t pid;
	int listener, in, out; /* in: what the role reads */
	const struct heap_header *table;
	int table_fd;
};

static char library[4096];
static char socket_path[64];

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

/* Takes an Attach message: request field 1, with version 1, and a descriptor. */
static const struct heap_header *take_table(int listener, int *ret_fd)
{
	static const uint8_t attach[] = {0x0a, 2, 0x08, HEAP_TABLE_VERSION};
	uint8_t bytes[64];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct stat st;
	void *table;
	int peer;

	wait_readable(listener);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(recvmsg(peer, &message, MSG_CMSG_CLOEXEC), sizeof(attach));
	assert_memory_equal(bytes, attach, sizeof(attach));
	memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(int));
	close(peer);
	assert_int_equal(fcntl(*ret_fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(fstat(*ret_fd, &st), 0);
	table = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_ptr_not_equal(table, MAP_FAILED);
	return table;
}

static void start_limited(struct client *c, const char *role, const char *rate, int resource,
			  rlim_t limit)
{
	struct rlimit rlimit = {limit, limit};
	int in[2], out[2];

	c->listener = listen_at(socket_path);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	if (c->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close_range(3, ~0U, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("LD_PRELOAD", library, 1);
		setenv("PROFD_SOCKET", socket_path, 1);
		setenv("PROFD_RATE", rate, 1);
		if (resource >= 0)
			setrlimit(resource, &rlimit);
		execl("/proc/self/exe", "test-preload-client", "role", role, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
	c->table = NULL;
	c->table_fd = -1;
}

static void start(struct client *c, const char *role)
{
	start_limited(c, role, "1", -1, 0);
	c->table = take_table(c->listener, &c->table_fd);
}

static void await_point(struct client *c)
{
	char byte;

	wait_readable(c->out);
	assert_int_equal(read(c->out, &byte, 1), 1);
}

static void let_go(struct client *c)
{
	assert_int_equal(write(c->in, "", 1), 1);
}

static int finish(struct client *c)
{
	int status;

	for (int ms = 0; waitpid(c->pid, &status, WNOHANG) == 0; ms++) {
		if (ms == DEADLINE_MS) {
			kill(c->pid, SIGKILL);
			waitpid(c->pid, &status, 0);
			fail_msg("the role hung");
		}
		usleep(1000);
	}
	close(c->in);
	close(c->out);
	close(c->listener);
	return status;
}

struct sums {
	int64_t objects, bytes;		  /* in use */
	int64_t live_objects, live_bytes; /* by the live records */
};

static struct sums sum(const struct heap_header *t)
{
	const uint8_t *base = (const uint8_t *)t;
	const struct heap_bucket *b = (const void *)(base + t->regions[HEAP_REGION_BUCKETS].offset);
	const uint64_t *keys = (const void *)(base + t->regions[HEAP_REGION_KEYS].offset);
	const struct heap_live *live = (const void *)(base + t->regions[HEAP_REGION_LIVE].offset);
	const struct heap_stack *stacks =
		(const void *)(base + t->regions[HEAP_REGION_STACKS].offset);
	struct sums s = {0};

	for (uint32_t i = 0; i < t->regions[HEAP_REGION_BUCKETS].used; i++) {
		if (stacks[b[i].stack].kind != HEAP_KIND_HEAP)
			continue;
		s.objects += (int64_t)(b[i].alloc_objects - b[i].free_objects);
		s.bytes += (int64_t)(b[i].alloc_bytes - b[i].free_bytes);
	}
	for (uint32_t i = 0; i < t->regions[HEAP_REGION_KEYS].used; i++) {
		if (keys[i] == 0)
			continue;
		s.live_objects++;
		s.live_bytes += (int64_t)live[i].size;
	}
	assert_int_equal(s.objects % (1 << HEAP_OBJECT_SHIFT), 0);
	s.objects >>= HEAP_OBJECT_SHIFT;
	s.bytes >>= HEAP_BYTE_SHIFT;
	assert_int_equal(s.objects, s.live_objects);
	assert_int_equal(s.bytes, s.live_bytes);
	return s;
}

static void assert_grown(const struct client *c, const struct sums *since, int64_t objects_more,
			 int64_t bytes_more)
{
	struct sums now = sum(c->table);

	assert_int_equal(now.objects - since->objects, objects_more);
	assert_int_equal(now.bytes - since->bytes, bytes_more);
	for (int i = 0; i < HEAP_LOST_N; i++)
		assert_int_equal(c->table->lost[i], 0);
}

/* build/tests/test-preload-client -> build/libprofd.so */
static bool find_library(void)
{
	ssize_t n = readlink("/proc/self/exe", library, sizeof(library) - 32);

	if (n < 0)
		return false;
	library[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(library, '/');

		if (!slash)
			return false;
		*slash = '\0';
	}
	strcat(library, "/libprofd.so");
	return access(library, R_OK) == 0;
}
