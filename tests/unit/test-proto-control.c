/*
 * Framing: whole messages with their descriptors, or nothing of either.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/control.h"
#include "proto/control.pb-c.h"

static int sockets[2];

static int set_up(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets);
}

static int tear_down(void **state)
{
	profd_closep(&sockets[0]);
	profd_closep(&sockets[1]);
	return 0;
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int send_error(int socket, const char *text, const int *fds, size_t n_fds)
{
	Profd__Error error = PROFD__ERROR__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;

	error.code = 7;
	error.message = (char *)text;
	reply.kind_case = PROFD__REPLY__KIND_ERROR;
	reply.error = &error;
	return control_send(socket, &reply.base, fds, n_fds);
}

/* As a peer that does not use our code. */
static void send_raw(size_t n_bytes, const int *fds, size_t n_fds)
{
	static char bytes[PROFD_MAX_PACKET + 4096];
	char ancillary[CMSG_SPACE(64 * sizeof(int))] = {};
	struct iovec iov = {.iov_base = bytes, .iov_len = n_bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (n_fds > 0) {
		msg.msg_control = ancillary;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(sockets[0], &msg, 0), n_bytes);
}

static void test_message_arrives(void **state)
{
	struct control_packet packet;
	Profd__Reply *reply;

	assert_int_equal(send_error(sockets[0], "what: why", NULL, 0), 0);
	assert_int_equal(control_recv(sockets[1], 0, &packet), 0);
	assert_int_equal(packet.n_fds, 0);
	assert_int_equal(packet.fds[0], -1);
	reply = profd__reply__unpack(NULL, packet.n_bytes, packet.bytes);
	assert_non_null(reply);
	assert_int_equal(reply->error->code, 7);
	assert_string_equal(reply->error->message, "what: why");
	profd__reply__free_unpacked(reply, NULL);
	control_packet_done(&packet);
}

static void test_descriptors_arrive(void **state)
{
	unsigned before = count_fds();
	struct control_packet packet;
	struct stat sent, got;
	int pipes[2], fds[CONTROL_MAX_FDS], taken;

	assert_int_equal(pipe(pipes), 0);
	fds[0] = pipes[0];
	fds[1] = pipes[1];
	fds[2] = STDERR_FILENO;
	fds[3] = pipes[0];
	assert_int_equal(send_error(sockets[0], "x", fds, 4), 0);
	assert_int_equal(control_recv(sockets[1], MSG_DONTWAIT, &packet), 0);
	assert_int_equal(packet.n_fds, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fstat(fds[i], &sent), 0);
		assert_int_equal(fstat(packet.fds[i], &got), 0);
		assert_true(sent.st_ino == got.st_ino && sent.st_dev == got.st_dev);
		assert_true(fcntl(packet.fds[i], F_GETFD) & FD_CLOEXEC);
	}
	taken = take_fd(&packet.fds[1]);
	control_packet_done(&packet);
	assert_int_equal(count_fds(), before + 3);
	assert_int_equal(fstat(taken, &got), 0);
	close(taken);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(count_fds(), before);
}

static void test_nothing_there(void **state)
{
	struct control_packet packet;

	assert_int_equal(control_recv(sockets[1], MSG_DONTWAIT, &packet), -EAGAIN);
}

static void test_end_of_connection(void **state)
{
	struct control_packet packet;

	assert_int_equal(send_error(sockets[0], "last", NULL, 0), 0);
	close(sockets[0]);
	sockets[0] = -1;
	assert_int_equal(control_recv(sockets[1], 0, &packet), 0);
	control_packet_done(&packet);
	assert_int_equal(control_recv(sockets[1], 0, &packet), -ECONNRESET);
	assert_int_equal(send_error(sockets[1], "x", NULL, 0), -EPIPE);
}

static void test_largest_packet_fits(void **state)
{
	struct control_packet packet;

	send_raw(PROFD_MAX_PACKET, NULL, 0);
	assert_int_equal(control_recv(sockets[1], 0, &packet), 0);
	assert_int_equal(packet.n_bytes, PROFD_MAX_PACKET);
	control_packet_done(&packet);
}

static void test_oversized_is_refused_with_its_descriptors(void **state)
{
	unsigned before = count_fds();
	struct control_packet packet = {.n_bytes = 77};
	int fds[2] = {STDIN_FILENO, STDERR_FILENO};

	send_raw(PROFD_MAX_PACKET + 1, fds, 2);
	assert_int_equal(control_recv(sockets[1], 0, &packet), -EMSGSIZE);
	assert_int_equal(packet.n_bytes, 77);
	assert_int_equal(count_fds(), before);
	/* The next one is unharmed. */
	assert_int_equal(send_error(sockets[0], "x", NULL, 0), 0);
	assert_int_equal(control_recv(sockets[1], 0, &packet), 0);
	control_packet_done(&packet);
}

static void test_too_many_descriptors_are_refused(void **state)
{
	unsigned before = count_fds();
	struct control_packet packet;
	int fds[CONTROL_MAX_FDS + 1] = {2, 2, 2, 2, 2};

	send_raw(10, fds, CONTROL_MAX_FDS + 1);
	assert_int_equal(control_recv(sockets[1], 0, &packet), -EBADMSG);
	assert_int_equal(count_fds(), before);
	assert_int_equal(send_error(sockets[0], "x", fds, CONTROL_MAX_FDS + 1), -EINVAL);
}

static void test_too_large_is_not_sent(void **state)
{
	_cleanup_free_ char *text = malloc(PROFD_MAX_PACKET + 1);
	struct control_packet packet;

	memset(text, 'x', PROFD_MAX_PACKET);
	text[PROFD_MAX_PACKET] = '\0';
	assert_int_equal(send_error(sockets[0], text, NULL, 0), -EMSGSIZE);
	assert_int_equal(control_recv(sockets[1], MSG_DONTWAIT, &packet), -EAGAIN);
}

/* An empty packet would read as the end. */
static void test_empty_is_not_sent(void **state)
{
	Profd__Request request = PROFD__REQUEST__INIT;

	assert_int_equal(control_send(sockets[0], &request.base, NULL, 0), -EINVAL);
}

static void test_peer_that_does_not_read(void **state)
{
	unsigned sent = 0;
	int r;

	while ((r = send_error(sockets[0], "again", NULL, 0)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 0);
}

static void test_connects(void **state)
{
	char dir[] = "/tmp/test-control-XXXXXX", path[64], longer[200];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int listener = -1, fd = -1;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(control_connect(path), -ENOENT);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(control_connect(path), -ECONNREFUSED);
	assert_int_equal(listen(listener, 1), 0);
	fd = control_connect(path);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_connect(longer), -ENAMETOOLONG);
	assert_int_equal(control_connect(""), -ENOENT);
	unlink(path);
	rmdir(dir);
}

static void test_path_of_the_socket(void **state)
{
	unsetenv("PROFD_SOCKET");
	assert_string_equal(control_path(NULL), "/run/profd/profd.sock");
	setenv("PROFD_SOCKET", "/tmp/x", 1);
	assert_string_equal(control_path(NULL), "/tmp/x");
	assert_string_equal(control_path("/tmp/y"), "/tmp/y");
	setenv("PROFD_SOCKET", "", 1);
	assert_string_equal(control_path(""), "/run/profd/profd.sock");
}

/* What is written by hand, protobuf-c reads, and the other way round. */
static void test_ask_by_hand(void **state)
{
	static const struct control_ask asks[] = {
		{.type = "heap", .send_files = true, .no_trim = true},
		{.type = "cpu", .send_files = true, .until_stopped = true},
		{.type = "threadcreate"},
	};
	uint8_t bytes[CONTROL_ASK_BYTES];
	Profd__Request *q;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		n = control_ask_encode(&asks[i], bytes, sizeof(bytes));
		q = profd__request__unpack(NULL, n, bytes);
		assert_non_null(q);
		assert_int_equal(q->verb_case, PROFD__REQUEST__VERB_SNAPSHOT);
		assert_int_equal(q->snapshot->n_types, 1);
		assert_string_equal(q->snapshot->types[0], asks[i].type);
		assert_int_equal(q->snapshot->no_trim, asks[i].no_trim);
		assert_int_equal(q->snapshot->send_files, asks[i].send_files);
		assert_int_equal(q->snapshot->until_stopped, asks[i].until_stopped);
		assert_true(q->snapshot->own);
		profd__request__free_unpacked(q, NULL);
	}
	assert_int_equal(control_ask_encode(&(struct control_ask){.type = "a type whose name is "
									  "longer than any that "
									  "there is or will be"},
					    bytes, sizeof(bytes)),
			 0);
	q = profd__request__unpack(NULL, control_ask_status(bytes), bytes);
	assert_int_equal(q->verb_case, PROFD__REQUEST__VERB_STATUS);
	profd__request__free_unpacked(q, NULL);
	q = profd__request__unpack(NULL, control_ask_stop(bytes), bytes);
	assert_int_equal(q->verb_case, PROFD__REQUEST__VERB_STOP);
	profd__request__free_unpacked(q, NULL);
}

static void test_answers_by_hand(void **state)
{
	static const int codes[] = {EACCES, -EACCES, 0, 255};
	Profd__Error error = PROFD__ERROR__INIT;
	Profd__Done done = PROFD__DONE__INIT;
	Profd__Reply reply = PROFD__REPLY__INIT;
	char message[300];
	uint8_t bytes[512];
	size_t n;
	int code;

	memset(message, 'x', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	error.message = message; /* so that the length takes two bytes */
	reply.kind_case = PROFD__REPLY__KIND_ERROR;
	reply.error = &error;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		error.code = codes[i];
		n = profd__reply__pack(&reply, bytes);
		assert_int_equal(control_answer_read(bytes, n, &code), CONTROL_ANSWER_ERROR);
		assert_int_equal(code, codes[i]);
		for (size_t cut = 0; cut < 16; cut++) /* whatever of it is there */
			(void)control_answer_read(bytes, cut, &code);
	}
	reply.kind_case = PROFD__REPLY__KIND_DONE;
	reply.done = &done;
	n = profd__reply__pack(&reply, bytes);
	assert_int_equal(control_answer_read(bytes, n, &code), CONTROL_ANSWER_DONE);
	assert_int_equal(control_answer_read((const uint8_t *)"\xff\xff", 2, &code),
			 CONTROL_ANSWER_BAD);
	assert_int_equal(control_answer_read((const uint8_t *)"\x72\0", 2, &code),
			 CONTROL_ANSWER_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_message_arrives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_descriptors_arrive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end_of_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_largest_packet_fits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oversized_is_refused_with_its_descriptors,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_descriptors_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_too_large_is_not_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_is_not_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_that_does_not_read, set_up, tear_down),
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_ask_by_hand),
		cmocka_unit_test(test_answers_by_hand),
		cmocka_unit_test(test_path_of_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
