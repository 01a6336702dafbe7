/*
 * For the tests of the keeper: its end of the socket, without a socket.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/serve.h"
#include "daemon/keeper/wire.h"
#include "profd/base.h"

static struct keeper *keeper;
static struct serve *serve;
static char dir[40], path[64];

static inline int setup(void **state)
{
	strcpy(dir, "/tmp/test-serve-XXXXXX");
	if (!mkdtemp(dir) || keeper_new_local(&keeper) < 0 || serve_new(keeper, &serve) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	serve_start_engine(serve, getpid());
	serve_describe(serve, 7, "nothing is lost\n");
	return 0;
}

static inline int teardown(void **state)
{
	serve_free(serve);
	keeper_free(keeper);
	unlink(path);
	return rmdir(dir);
}

/* The answer's result; a descriptor that came with it is counted as 1. */
static inline int ask_with(const void *request, size_t bytes, int fd)
{
	const struct wire_answer *answer;
	const void *p;
	int got;
	size_t n = serve_answer(serve, request, bytes, fd, &p, &got);

	answer = p;
	assert_int_equal(n, sizeof(*answer) + answer->bytes);
	assert_true(answer->result == 0 || (got < 0 && answer->bytes == 0));
	if (got < 0)
		return answer->result;
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	close(got);
	return 1;
}

static inline int ask(const void *request, size_t bytes)
{
	return ask_with(request, bytes, -1);
}

static inline struct perf_event_attr clock_event(void)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_STACK_USER,
		.sample_stack_user = 1024,
		.disabled = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}
