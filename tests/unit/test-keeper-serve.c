/*
 * The keeper's end of the socket: one length of a message is right, and both ends mean
 * the same by it.
 */
#include "tests/unit/serve-harness.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- lengths */

static void test_one_length_is_right(void **state)
{
	static const struct {
		enum wire_verb verb;
		size_t bytes;
		int32_t pid;
	} verbs[] = {
		{WIRE_EVENT, sizeof(struct wire_event), 1},
		{WIRE_OPEN, sizeof(struct wire_file), 1},
		{WIRE_READ, sizeof(struct wire_file), 1},
		{WIRE_THREAD, sizeof(struct wire_thread), 1},
		{WIRE_MACHINE, sizeof(struct wire_file), 0},
		{WIRE_TRACEPOINT, sizeof(struct wire_tracepoint), 0},
		{WIRE_STACK, sizeof(struct wire_stack), 1},
		{WIRE_STOP, sizeof(struct wire_stop), 1},
		{WIRE_REST, sizeof(struct wire_head), 0},
		{WIRE_MAPPED, sizeof(struct wire_mapped), 1},
		{WIRE_PROGRAM, sizeof(struct wire_head), 1},
		{WIRE_PERF_MAP, sizeof(struct wire_perf_map), 1},
		{WIRE_DEBUG, sizeof(struct wire_debug), 1},
		{WIRE_TABLE, sizeof(struct wire_mapped), 1},
		{WIRE_DESCRIBE, sizeof(struct wire_head), 0},
	};
	static uint8_t message[2 * WIRE_REQUEST_BYTES];
	struct wire_head *head = (struct wire_head *)message;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		*head = (struct wire_head){verbs[i].verb, verbs[i].pid};
		assert_int_not_equal(ask(message, verbs[i].bytes), -EBADMSG);
		for (size_t n = 0; n < verbs[i].bytes + 300; n++)
			if (n != verbs[i].bytes)
				assert_int_equal(ask(message, n), -EBADMSG);
		assert_int_equal(ask(message, WIRE_REQUEST_BYTES), -EBADMSG);
		assert_int_equal(ask(message, WIRE_REQUEST_BYTES + 1), -EBADMSG);
		assert_int_equal(ask(message, sizeof(message)), -EBADMSG);
		/* nor does any of them take a descriptor */
		assert_int_equal(ask_with(message, verbs[i].bytes, 0), -EBADMSG);
	}
	for (uint32_t verb = WIRE_STOP + 1; verb < 100; verb++) {
		*head = (struct wire_head){verb, 1};
		assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
	}
	*head = (struct wire_head){0, 1};
	assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
	*head = (struct wire_head){UINT32_MAX, 1};
	assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
}

/* A length that a string is said to have is that of what follows. */
static void test_strings_are_as_long_as_they_say(void **state)
{
	struct {
		struct wire_mapped m;
		char path[20];
	} mapped = {.m = {.head = {WIRE_MAPPED, 1}, .path_bytes = 9}, .path = "/bin/true"};
	struct {
		struct wire_debug m;
		char strings[20];
	} debug = {.m = {.head = {WIRE_DEBUG, 1},
			 .place = KEEPER_DEBUG_BESIDE,
			 .path_bytes = 4,
			 .name_bytes = 4},
		   .strings = "/a/bname"};
	size_t n = sizeof(mapped.m), d = sizeof(debug.m);

	assert_int_not_equal(ask(&mapped, n + 9), -EBADMSG);
	assert_int_equal(ask(&mapped, n + 8), -EBADMSG);
	assert_int_equal(ask(&mapped, n + 10), -EBADMSG);
	mapped.path[4] = '\0';
	assert_int_equal(ask(&mapped, n + 9), -EBADMSG);
	for (uint32_t bytes = PROFD_MAX_PATH; bytes; bytes <<= 1) {
		mapped.m.path_bytes = bytes;
		assert_int_equal(ask(&mapped, n + 9), -EBADMSG);
	}

	assert_int_equal(ask(&debug, d + 8), -ENOENT);
	debug.m.path_bytes = UINT32_MAX - 3; /* the sum would do */
	debug.m.name_bytes = 12;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.path_bytes = 5;
	debug.m.name_bytes = 4;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.path_bytes = debug.m.name_bytes = 4;
	debug.m.build_id_bytes = WIRE_BUILD_ID_BYTES + 1;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.build_id_bytes = 0;
	for (debug.m.place = 0; debug.m.place <= KEEPER_DEBUG_SPLIT; debug.m.place++)
		assert_int_not_equal(ask(&debug, d + 8), -EBADMSG);
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
}

/* ---- both ends */

static struct keeper_description describe(void)
{
	struct wire_head m = {WIRE_DESCRIBE, 0};
	struct keeper_description d;
	const void *answer;
	int fd;

	assert_int_equal(serve_answer(serve, &m, sizeof(m), -1, &answer, &fd),
			 sizeof(struct wire_answer) + sizeof(d));
	memcpy(&d, (const uint8_t *)answer + sizeof(struct wire_answer), sizeof(d));
	return d;
}

static void test_counts_what_it_refuses(void **state)
{
	struct keeper_description d = describe();

	assert_int_equal(d.keeper, getpid());
	assert_int_equal(d.starter, 7);
	assert_int_equal(d.engines, 1);
	assert_int_equal(d.refused, 0);
	assert_string_equal(d.notes, "nothing is lost\n");
	(void)ask("x", 1);
	d = describe();
	assert_int_equal(d.refused, 1);
	assert_int_equal(d.requests, 3);
	serve_start_engine(serve, 1);
	d = describe();
	assert_int_equal(d.engines, 2);
	assert_int_equal(d.refused, 0);
}

/* What the engine's end asks is what the keeper's end understands. */
static void test_the_ends_agree(void **state)
{
	struct keeper_debug wanted = {.place = KEEPER_DEBUG_BESIDE, .path = "/a", .name = "b"};
	struct perf_event_attr a = clock_event();
	struct keeper_description d;
	struct keeper *remote;
	const uint8_t *bytes;
	int sockets[2];
	char text[8192];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	if (pid == 0) {
		struct pollfd wait = {.fd = sockets[0], .events = POLLIN};

		close(sockets[1]);
		while (poll(&wait, 1, -1) == 1 && serve_socket(serve, sockets[0]) == 0)
			;
		_exit(0);
	}
	close(sockets[0]);
	assert_int_equal(keeper_new_remote(sockets[1], &remote), 0);
#define OPENS(call)                                                                                \
	do {                                                                                       \
		int fd = call;                                                                     \
		assert_true(fd >= 0);                                                              \
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);                                  \
		close(fd);                                                                         \
	} while (0)
	OPENS(keeper_open_file(remote, getpid(), KEEPER_MAPS));
	OPENS(keeper_open_machine(remote, KEEPER_KALLSYMS));
	OPENS(keeper_open_program(remote, getpid()));
	OPENS(keeper_open_mapped(remote, getpid(), 0, 0, "/bin/true"));
	OPENS(keeper_open_process(remote, getpid()));
#undef OPENS
	assert_true(keeper_read_file(remote, getpid(), KEEPER_STAT, text, sizeof(text)) > 10);
	assert_true(keeper_spent_ns(remote) > 0 && keeper_spent_ns(keeper) == 0);
	assert_int_equal(keeper_read_file(remote, getpid(), KEEPER_STAT, text, 2), 2);
	assert_true(keeper_read_file(remote, getpid(), KEEPER_SMAPS_ROLLUP, text, 100) == 100);
	assert_true(keeper_read_thread(remote, getpid(), getpid(), KEEPER_THREAD_COMM, text, 99) >
		    5);
	assert_int_equal(keeper_open_debug(remote, &wanted), -ENOENT);
	assert_int_equal(keeper_open_table(remote, getpid(), 1, 2), -ENOENT);
	assert_int_equal(keeper_open_perf_map(remote, getpid(), getpid(), getuid(), 9), -ENOENT);
	assert_int_equal(keeper_open_tracepoint(remote, "../a", "b"), -EINVAL);
	assert_int_equal(keeper_read_stack(remote, getpid(), getpid(), 8, &bytes), -EAGAIN);
	assert_int_equal(keeper_open_event(remote, &a, 1, -1, 0), -EPERM);
	assert_int_equal(keeper_lend_ring(remote, 1, 4096), -EPERM);
	keeper_rest(remote);
	assert_int_equal(keeper_describe(remote, &d), 0);
	assert_int_equal(d.keeper, pid);
	assert_int_equal(keeper_add_debug_dir(remote, "/tmp"), -EPERM);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(keeper_open_file(remote, getpid(), KEEPER_MAPS), -ECONNRESET);
	keeper_free(remote);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_length_is_right),
		T(test_strings_are_as_long_as_they_say),
		T(test_counts_what_it_refuses),
		T(test_the_ends_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
