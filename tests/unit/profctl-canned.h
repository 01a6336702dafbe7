/*
 * Commands of profctl as a user sees them, against a canned profd: a process that takes
 * one request, looks whether it is the one expected, and answers.
 */
#pragma once

#include "tests/unit/profctl-harness.h"

typedef void (*serve_t)(struct harness *h, int fd, const Profd__Request *request);

/* One connection, one request, and what @serve answers; then it hangs up. */
static inline void be_profd(struct harness *h, int listen_fd, serve_t serve)
{
	Profd__Request *request;
	int fd;

	alarm(HARNESS_PATIENCE_S);
	fd = accept(listen_fd, NULL, NULL);
	request = fd >= 0 ? fake_receive(fd) : NULL;
	if (request)
		serve(h, fd, request);
	_exit(request ? 0 : 1);
}

/* Runs profctl with the arguments, up to NULL, against @serve. */
static inline void call(struct harness *h, serve_t serve, ...)
{
	char *argv[20] = {};
	int listen_fd, status = 0, n = 1;
	va_list args;
	pid_t pid;

	va_start(args, serve);
	while ((argv[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	unlink(h->socket);
	listen_fd = harness_listen(h->socket);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_profd(h, listen_fd, serve);
	close(listen_fd);
	harness_run(h, argv);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0); /* it was asked, and asked what it expected */
}

/* The same with nobody there. */
static inline void call_alone(struct harness *h, const char *a, const char *b, const char *c,
			      const char *d)
{
	char *argv[] = {NULL, (char *)a, (char *)b, (char *)c, (char *)d, NULL};

	harness_run(h, argv);
}

static inline void assert_one_line(const char *text)
{
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n'), "\n");
	assert_int_equal(strncmp(text, "profctl: ", 9), 0);
}

static inline void check(bool ok)
{
	if (!ok)
		abort();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_set_up, harness_tear_down)
