/* daemon/keeper/environment: what of it is anybody's business. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/keeper/environment.h"
#include "daemon/keeper/keeper.h"
#include "profd/base.h"
#include "profd/limits.h"

static void test_picks_ours_alone(void **state)
{
	static const char text[] = "SECRET=1\0PROFD_A=x\0XPROFD_B=1\0\0PROFD_C=\0PROFD_CUT=";
	char ret[64];
	size_t n = 0;

	assert_int_equal(environment_pick(text, sizeof(text) - 1, ret, sizeof(ret), &n),
			 sizeof(text) - sizeof("PROFD_CUT="));
	assert_int_equal(n, sizeof("PROFD_A=x") + sizeof("PROFD_C="));
	assert_memory_equal(ret, "PROFD_A=x\0PROFD_C=", n);
	n = 0;
	environment_pick(text, sizeof(text) - 1, ret, 9, &n); /* no room for the first */
	assert_int_equal(n, sizeof("PROFD_C="));
	n = 0;
	assert_int_equal(environment_pick("", 0, ret, sizeof(ret), &n), 0);
}

/* A program that stands still, with this environment. */
static pid_t start(char **variables)
{
	pid_t pid;
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], STDOUT_FILENO);
		execle("/bin/sh", "sh", "-c", "echo; kill -STOP $$", NULL, variables);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* One that has @others bytes of others before ours. */
static pid_t start_behind(size_t others)
{
	size_t n = others / 1024;
	char **variables = calloc(n + 3, sizeof(*variables));
	pid_t pid;

	for (size_t i = 0; i < n; i++) {
		variables[i] = malloc(1024);
		memset(variables[i], 'x', 1023);
		memcpy(variables[i], "SECRET=", 7);
		variables[i][1023] = '\0';
	}
	variables[n] = (char *)"PROFD_DISABLE=1";
	variables[n + 1] = (char *)"PASSWORD=hunter2";
	pid = start(variables);
	for (size_t i = 0; i < n; i++)
		free(variables[i]);
	free(variables);
	return pid;
}

/* The child that reads may have no turn for half a second on a busy machine, and is
 * given up like one that hangs; then another keeper asks again. */
static ssize_t read_it(pid_t pid, char *ret, size_t size)
{
	struct keeper *keeper;
	ssize_t n = -ETIMEDOUT;

	for (int i = 0; i < 60 && n == -ETIMEDOUT; i++) {
		assert_int_equal(keeper_new_local(&keeper), 0);
		n = keeper_read_file(keeper, pid, KEEPER_ENVIRON, ret, size);
		keeper_free(keeper);
	}
	return n;
}

static void test_of_a_real_process(void **state)
{
	static const size_t others[] = {0, 16000, 100000};
	char ret[256];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		pid_t pid = start_behind(others[i]);
		ssize_t n = read_it(pid, ret, sizeof(ret));

		assert_int_equal(n, sizeof("PROFD_DISABLE=1"));
		assert_string_equal(ret, "PROFD_DISABLE=1");
		stop(pid);
		assert_true(read_it(pid, ret, sizeof(ret)) < 0);
	}
}

/* Each piece of it that is read but the first begins with our name, and none is a variable. */
static void test_of_one_that_is_longer_than_a_piece(void **state)
{
	static char long_one[3 * PEEK_BYTES];
	char *variables[] = {long_one, (char *)"PROFD_RATE=1", NULL};
	char ret[256];
	pid_t pid;

	memset(long_one, 'x', sizeof(long_one) - 1);
	memcpy(long_one, "SECRET=", 7);
	memcpy(long_one + PEEK_BYTES, "PROFD_A=1", 9);
	memcpy(long_one + 2 * PEEK_BYTES, "PROFD_B=1", 9);
	long_one[2 * PEEK_BYTES + 100] = '\0';
	pid = start(variables);
	assert_int_equal(read_it(pid, ret, sizeof(ret)), sizeof("PROFD_RATE=1"));
	assert_string_equal(ret, "PROFD_RATE=1");
	stop(pid);
}

static void test_stat_that_says_nothing(void **state)
{
	struct peek *peek;
	char ret[16];

	assert_int_equal(peek_new(&peek), 0);
	assert_int_equal(environment_read(peek, getpid(), "1 (a) S 1 2 3", ret, sizeof(ret)),
			 -EBADMSG);
	assert_int_equal(
		environment_read(peek, getpid(),
				 "1 (a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 "
				 "22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 "
				 "41 42 43 44 45 46 47 48 49 0 0 52",
				 ret, sizeof(ret)),
		-EACCES);
	peek_free(peek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picks_ours_alone),
		cmocka_unit_test(test_of_a_real_process),
		cmocka_unit_test(test_of_one_that_is_longer_than_a_piece),
		cmocka_unit_test(test_stat_that_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
