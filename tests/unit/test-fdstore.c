/*
 * What the service manager keeps, and gives back: names are spelt in one way only,
 * whatever is in them, and each descriptor is put where it belongs, or closed. The
 * service manager is a socket of the test's.
 */
#include "daemon/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/limits.h"

static int manager = -1;
static char manager_path[64];

static int start_manager(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(manager_path, sizeof(manager_path), "/tmp/test-fdstore-%d", (int)getpid());
	strcpy(address.sun_path, manager_path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setenv("NOTIFY_SOCKET", manager_path, 1);
	return bind(manager, (struct sockaddr *)&address, sizeof(address));
}

static int stop_manager(void **state)
{
	close(manager);
	return unlink(manager_path);
}

/* What it was told last; "": nothing. */
static const char *told(void)
{
	static char text[512];
	ssize_t n, last = 0;

	while ((n = recv(manager, text, sizeof(text) - 1, 0)) >= 0)
		last = n;
	text[last] = '\0';
	return text;
}

static const struct heap_identity somebody = {
	.pid = 4194303,
	.uid = 4294967294u,
	.start_ticks = UINT64_MAX,
	.inode = UINT64_MAX,
	.comm = "a:b-\n\xff fifteen",
};

static void test_names_go_there_and_back(void **state)
{
	struct heap_identity id, short_one = {.pid = 1, .comm = ""};
	char name[FDSTORE_NAME_BYTES];

	fdstore_name(&somebody, name);
	assert_true(strlen(name) + 1 < FDSTORE_NAME_BYTES);
	for (const char *p = name; *p; p++) /* what the manager takes */
		assert_true(*p > ' ' && *p < 127 && *p != ':');
	assert_int_equal(fdstore_parse(name, &id), 0);
	assert_int_equal(id.pid, somebody.pid);
	assert_int_equal(id.uid, somebody.uid);
	assert_true(id.start_ticks == UINT64_MAX && id.inode == UINT64_MAX);
	assert_memory_equal(id.comm, somebody.comm, sizeof(id.comm));
	fdstore_name(&short_one, name);
	assert_int_equal(fdstore_parse(name, &id), 0);
	assert_string_equal(id.comm, "");
}

static void test_nothing_else_is_a_name(void **state)
{
	static const char *const wrong[] = {
		"",
		"heap-",
		"heap-1-0-5-6",
		"control",
		"heap--1-0-5-6-61",
		"heap-0-0-5-6-61",
		"heap-1-0-5-6-6",
		"heap-1-0-5-6-6G",
		"heap-1-0-5-6-6A", /* not as we write it */
		"heap-1-0-5-6-00",
		"heap-01-0-5-6-61",
		"heap-1--1-5-6-61",
		"heap-1-0-+5-6-61",
		"heap-1-0- 5-6-61",
		"heap-1-0-5-6-61 ",
		"heap-1-0-5-6-61-61",
		"heap-99999999999-0-5-6-61",
		"heap-1-99999999999-5-6-61",
		"heap-1-0-99999999999999999999999-6-61",
		"heap-1-0-5-6-6161616161616161616161616161616161616161",
	};
	struct heap_identity id = {.pid = 77};
	char long_one[4096];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (fdstore_parse(wrong[i], &id) != -EBADMSG)
			fail_msg("\"%s\" was taken for a name", wrong[i]);
	memset(long_one, '1', sizeof(long_one) - 1);
	memcpy(long_one, "heap-", 5);
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(fdstore_parse(long_one, &id), -EBADMSG);
	assert_int_equal(id.pid, 77);
}

static void test_the_manager_is_told(void **state)
{
	char name[FDSTORE_NAME_BYTES], expected[256];
	int fd = memfd_create("t", MFD_CLOEXEC);

	fdstore_name(&somebody, name);
	assert_int_equal(fdstore_put(-1, &somebody, fd), 0);
	snprintf(expected, sizeof(expected), "FDSTORE=1\nFDNAME=%s", name);
	assert_string_equal(told(), expected);
	assert_int_equal(fdstore_remove(-1, name), 0);
	snprintf(expected, sizeof(expected), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	assert_string_equal(told(), expected);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(fdstore_put(-1, &somebody, fd), -ENOTCONN);
	setenv("NOTIFY_SOCKET", manager_path, 1);
	close(fd);
}

/* ---- taking over: descriptors from 3 on, as a child that begins anew */

static void pass(int at, int fd)
{
	assert_int_equal(dup2(fd, at), at);
}

static int listening(int type)
{
	int fd = socket(AF_UNIX, type, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static void announce(const char *n, const char *names)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void test_each_descriptor_is_put_where_it_belongs(void **state)
{
	struct fdstore_handover h;
	int control = fcntl(listening(SOCK_SEQPACKET), F_DUPFD, 50),
	    stream = fcntl(listening(SOCK_STREAM), F_DUPFD, 50),
	    table = fcntl(memfd_create("t", 0), F_DUPFD, 50),
	    manager_copy = fcntl(manager, F_DUPFD, 50);

	/* what stood there is the test's own by now */
	pass(3, table);
	pass(4, stream);
	pass(5, control);
	pass(6, table);
	manager = manager_copy;
	announce("4", "heap-1-0-5-6-61:control:control:stored");
	assert_int_equal(fdstore_take_over(-1, &h), 0);
	assert_int_equal(h.socket, 5);
	assert_true(fcntl(5, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(5, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(h.n_tables, 1);
	assert_int_equal(h.tables[0].fd, 3);
	assert_string_equal(h.tables[0].name, "heap-1-0-5-6-61");
	assert_int_equal(h.refused, 2); /* a stream, and what nobody knows */
	assert_string_equal(told(), "FDSTOREREMOVE=1\nFDNAME=stored");
	for (int fd = 3; fd < 7; fd++)
		assert_int_equal(fcntl(fd, F_GETFD) >= 0, fd == 3 || fd == 5);
	fdstore_handover_done(&h);
	assert_true(fcntl(3, F_GETFD) < 0 && fcntl(5, F_GETFD) < 0);
	assert_int_equal(fdstore_take_over(-1, &h), 0); /* once */
	assert_int_equal(h.socket, -1);
	assert_int_equal(h.n_tables, 0);
	fdstore_handover_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_go_there_and_back),
		cmocka_unit_test(test_nothing_else_is_a_name),
		cmocka_unit_test(test_the_manager_is_told),
		cmocka_unit_test(test_each_descriptor_is_put_where_it_belongs),
	};

	/* out of the way of the descriptors from 3 on */
	for (int fd = 3; fd < 10; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return cmocka_run_group_tests(tests, start_manager, stop_manager);
}
