/*
 * The search for debug files ends, whatever the keeper answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "daemon/keeper/wire.h"
#include "daemon/scribe/separate.h"
#include "profd/base.h"
#include "profd/limits.h"

static struct keeper *keeper;
static pid_t server;

/* Every request gets @result, and no descriptor. */
static void answer_always(int socket, int result)
{
	static char request[WIRE_REQUEST_BYTES];
	struct wire_answer answer = {.result = result};

	while (recv(socket, request, sizeof(request), 0) > 0)
		if (send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	_exit(0);
}

/* @result 0: a keeper that has gone. */
static void start_keeper(int result)
{
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	server = result ? fork() : -1;
	if (server == 0) {
		close(sockets[1]);
		answer_always(sockets[0], result);
	}
	close(sockets[0]);
	assert_int_equal(keeper_new_remote(sockets[1], &keeper), 0);
}

static void stop_keeper(void)
{
	keeper_free(keeper);
	if (server > 0)
		assert_int_equal(waitpid(server, NULL, 0), server);
}

static void test_search_ends(void **state)
{
	static const int results[] = {-ENOENT, -EBADMSG, -EPERM, -ELOOP, -EIO, 0};
	struct module *module = calloc(1, sizeof(*module));
	struct separate_counts counts = {0};
	struct separate found;

	module->path = strdup("/proc/self/exe");
	module->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(module->fd >= 0);
	alarm(60);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		start_keeper(results[i]);
		assert_int_equal(separate_find_split(keeper, module, "/a/b.dwo", &counts), -ENOENT);
		assert_int_equal(separate_find_split(keeper, module, "", &counts), -ENOENT);
		separate_find(keeper, module, &counts, &found);
		assert_int_equal(found.debug_fd, -1);
		separate_done(&found);
		stop_keeper();
	}
	alarm(0);
	assert_int_equal(counts.found, 0);
	close(module->fd);
	free(module->path);
	free(module);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_search_ends)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
