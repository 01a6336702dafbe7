/*
 * What the process table asks of a keeper that is another process: each question is
 * paid for by two, so none is asked of what has gone or of what no sample speaks of.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "daemon/keeper/serve.h"
#include "daemon/proc/process.h"
#include "profd/base.h"

#define GONE 5000000 /* no process can have such a pid */

static struct keeper *keeper;
static struct module_table *modules;
static struct process_table *table;
static pid_t server;
static uint64_t asked_before;

static void serve_until_hangup(int socket)
{
	struct pollfd wait = {.fd = socket, .events = POLLIN};
	struct keeper *local;
	struct serve *serve;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (keeper_new_local(&local) < 0 || serve_new(local, &serve) < 0)
		_exit(1);
	while (poll(&wait, 1, -1) == 1 && serve_socket(serve, socket) == 0)
		;
	_exit(0);
}

static int setup(void **state)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -1;
	server = fork();
	if (server == 0) {
		close(sockets[1]);
		serve_until_hangup(sockets[0]);
	}
	close(sockets[0]);
	if (server < 0 || keeper_new_remote(sockets[1], &keeper) < 0 ||
	    module_table_new(&modules) < 0)
		return -1;
	asked_before = 0;
	return process_table_new(keeper, modules, &table);
}

static int teardown(void **state)
{
	process_table_free(table);
	module_table_free(modules);
	keeper_free(keeper);
	return waitpid(server, NULL, 0) == server ? 0 : -1;
}

/* Requests since the last call. */
static uint64_t asked(void)
{
	struct keeper_description d;
	uint64_t n;

	assert_int_equal(keeper_describe(keeper, &d), 0);
	n = d.requests - asked_before - 1; /* but this one */
	asked_before = d.requests;
	return n;
}

/* A program that is started, and over before its records are looked at. */
static struct process *start(pid_t pid, pid_t parent)
{
	process_on_fork(table, pid, parent, 1);
	process_on_comm(table, pid, pid, "brief", true, 2);
	return process_peek(table, pid);
}

static void test_nothing_is_asked_of_what_no_sample_speaks_of(void **state)
{
	process_on_comm(table, getpid(), getpid(), "maker", true, 1);
	for (pid_t pid = GONE; pid < GONE + 100; pid++)
		start(pid, getpid());
	assert_int_equal(asked(), 0);
	for (pid_t pid = GONE; pid < GONE + 100; pid++)
		process_on_exit(table, pid, pid, 3);
	process_reap(table, 4);
	assert_int_equal(process_count(table), 1);
	assert_int_equal(asked(), 0);
}

static void test_what_has_gone_is_not_asked_itself(void **state)
{
	struct process *p = start(GONE, GONE - 1);

	(void)process_unit(table, p);
	assert_int_equal(process_owner(table, p), 0);
	assert_int_equal(asked(), 0);
}

static void test_who_started_many_is_asked_once_for_the_unit(void **state)
{
	process_on_comm(table, getpid(), getpid(), "maker", true, 1);
	for (pid_t pid = GONE; pid < GONE + 100; pid++)
		(void)process_unit(table, start(pid, getpid()));
	assert_int_equal(asked(), 1);
}

/* A shell that has gone too stands in between. */
static void test_unit_is_found_far_up(void **state)
{
	struct process *p;

	process_on_comm(table, getpid(), getpid(), "maker", true, 1);
	start(GONE, getpid());
	for (pid_t pid = GONE + 1; pid < GONE + 5; pid++)
		p = start(pid, pid - 1);
	(void)process_unit(table, p);
	assert_int_equal(asked(), 1);
}

static void test_the_living_are_asked_once(void **state)
{
	struct process *p;

	assert_non_null(process_get(table, getpid()));
	assert_int_equal(asked(), 3); /* who it is, what it has mapped, still the same? */
	p = process_peek(table, getpid());
	for (int i = 0; i < 10; i++) {
		(void)process_unit(table, p);
		assert_int_equal(process_owner(table, p), getuid());
	}
	assert_int_equal(asked(), 3); /* the unit; whose it is; since when */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_nothing_is_asked_of_what_no_sample_speaks_of),
		T(test_what_has_gone_is_not_asked_itself),
		T(test_who_started_many_is_asked_once_for_the_unit),
		T(test_unit_is_found_far_up),
		T(test_the_living_are_asked_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
