/*
 * Runs the real profctl, built beside the tests, against a fake profd, and
 * keeps what it printed.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "profd/base.h"
#include "proto/control.h"
#include "proto/control.pb-c.h"

#define HARNESS_TEXT_BYTES 16384
#define HARNESS_PATIENCE_S 120 /* then it hangs, and is a failure */

struct harness {
	char dir[32]; /* ours, with the socket in it */
	char socket[64];
	char program[4096]; /* profctl */
	int code;	    /* of the last call */
	char out[HARNESS_TEXT_BYTES], err[HARNESS_TEXT_BYTES];
};

static inline void harness_beside(const char *name, char *ret, size_t size)
{
	char self[2048] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		fail_msg("/proc/self/exe: %s", strerror(errno));
	*strrchr(self, '/') = '\0';
	snprintf(ret, size, "%s/%s", self, name);
}

static inline int harness_set_up(void **state)
{
	struct harness *h = calloc(1, sizeof(*h));

	if (!h)
		return -1;
	strcpy(h->dir, "/tmp/test-ctl-XXXXXX");
	if (!mkdtemp(h->dir))
		return -1;
	snprintf(h->socket, sizeof(h->socket), "%s/sock", h->dir);
	harness_beside("../profctl", h->program, sizeof(h->program));
	if (access(h->program, X_OK) < 0) {
		fprintf(stderr, "%s: not built: make it first\n", h->program);
		return -1;
	}
	*state = h;
	return 0;
}

/* Fails if anything is left that the test did not remove. */
static inline int harness_tear_down(void **state)
{
	struct harness *h = *state;
	int r;

	unlink(h->socket);
	r = rmdir(h->dir);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", h->dir, strerror(errno));
	free(h);
	return r;
}

static inline void harness_read(int fd, char *ret, size_t size)
{
	ssize_t n = pread(fd, ret, size - 1, 0);

	assert_true(n >= 0);
	ret[n] = '\0';
}

/* Runs @argv, whose first is NULL for profctl, with PROFD_SOCKET set and a line
 * to be read from standard input. */
static inline void harness_run(struct harness *h, char **argv)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	int in = memfd_create("in", MFD_CLOEXEC), status = 0;
	pid_t pid;

	assert_true(in >= 0 && out >= 0 && err >= 0);
	assert_int_equal(pwrite(in, "typed\n", 6, 0), 6);
	if (!argv[0])
		argv[0] = h->program;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(HARNESS_PATIENCE_S);
		setenv("PROFD_SOCKET", h->socket, 1);
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	h->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	harness_read(out, h->out, sizeof(h->out));
	harness_read(err, h->err, sizeof(h->err));
	close(in);
	close(out);
	close(err);
}

static inline int harness_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, min(strlen(path), sizeof(address.sun_path) - 1));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4) < 0)
		abort();
	return fd;
}

/* ---- the fake profd's answers; it aborts where a test would fail */

static inline Profd__Request *fake_receive(int fd)
{
	struct control_packet packet = {};
	Profd__Request *request;

	if (control_recv(fd, 0, &packet) < 0)
		return NULL;
	request = profd__request__unpack(NULL, packet.n_bytes, packet.bytes);
	control_packet_done(&packet);
	if (!request)
		abort();
	return request;
}

static inline void fake_reply(int fd, const Profd__Reply *reply, int file)
{
	if (control_send(fd, &reply->base, &file, file >= 0 ? 1 : 0) < 0)
		abort();
}

static inline void fake_done(int fd, uint32_t files, uint32_t missing)
{
	Profd__Done done = PROFD__DONE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	done.files = files;
	done.missing = missing;
	reply.kind_case = PROFD__REPLY__KIND_DONE;
	reply.done = &done;
	fake_reply(fd, &reply, -1);
}

static inline void fake_error_code(int fd, int code, const char *message)
{
	Profd__Error error = PROFD__ERROR__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	error.code = code;
	error.message = (char *)message;
	reply.kind_case = PROFD__REPLY__KIND_ERROR;
	reply.error = &error;
	fake_reply(fd, &reply, -1);
}

static inline void fake_error(int fd, const char *message)
{
	fake_error_code(fd, EPERM, message);
}

/* @content NULL: stored by profd, at @path. */
static inline void fake_file(int fd, const char *type, uint32_t pid, const char *name,
			     const char *path, const char *content)
{
	Profd__File file = PROFD__FILE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;
	int memfd = -1;

	file.type = (char *)type;
	file.name = (char *)name;
	file.path = (char *)path;
	file.pid = pid;
	file.comm = (char *)"redis";
	file.index = 1;
	file.trim = (char *)(strcmp(type, "heap") == 0 ? "trim 1 @0.5s: rss 2->1 MB" : "");
	reply.kind_case = PROFD__REPLY__KIND_FILE;
	reply.file = &file;
	if (content) {
		memfd = memfd_create("profile", MFD_CLOEXEC);
		if (write(memfd, content, strlen(content)) != (ssize_t)strlen(content))
			abort();
	}
	fake_reply(fd, &reply, memfd);
	if (memfd >= 0)
		close(memfd);
}

static inline void fake_missing(int fd, const char *type, uint32_t pid, const char *why)
{
	Profd__Missing missing = PROFD__MISSING__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	missing.type = (char *)type;
	missing.pid = pid;
	missing.comm = (char *)"redis";
	missing.index = 1;
	missing.why = (char *)why;
	reply.kind_case = PROFD__REPLY__KIND_MISSING;
	reply.missing = &missing;
	fake_reply(fd, &reply, -1);
}
