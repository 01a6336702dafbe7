/*
 * What outlives an engine: it is kept under its name and handed over in its order,
 * wherever descriptors stood; an engine that says something else changes nothing, and
 * cannot have what listens taken away.
 */
#include "daemon/keeper/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/limits.h"

static int engine = -1, starter = -1;

static int connect_both(void **state)
{
	int sockets[2];

	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -1;
	engine = sockets[0];
	starter = sockets[1];
	return 0;
}

static int hang_up(void **state)
{
	close(engine);
	close(starter);
	return 0;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static struct shelf *empty(void)
{
	struct shelf *s;

	assert_int_equal(shelf_new(&s), 0);
	assert_int_equal(shelf_count(s), 0);
	return s;
}

/* Whether everything is where the environment says, in a child that hands over. */
static int hands_over(struct shelf *s, const ino_t *inodes, size_t n, const char *names)
{
	int fds[2] = {3, 4}, status;
	ino_t others[2] = {inode_of(3), inode_of(4)};
	pid_t child = fork();
	char number[16];

	if (child == 0) {
		snprintf(number, sizeof(number), "%zu", n);
		if (shelf_hand_over(s, fds, 2) < 0)
			_exit(1);
		if (strcmp(getenv("LISTEN_FDS") ?: "0", number) != 0 ||
		    strcmp(getenv("LISTEN_FDNAMES") ?: "", names) != 0)
			_exit(2);
		for (size_t i = 0; i < n + 2; i++) {
			int fd = 3 + (int)i;

			if (inode_of(fd) != (i < n ? inodes[i] : others[i - n]))
				_exit(3);
			if (fcntl(fd, F_GETFD) != 0)
				_exit(4);
		}
		_exit(fds[0] == 3 + (int)n && fds[1] == 4 + (int)n ? 0 : 5);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void test_tables_are_kept_by_name(void **state)
{
	struct shelf *s = empty();
	int a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC),
	    c = memfd_create("c", MFD_CLOEXEC);

	assert_int_equal(shelf_put(engine, "heap-a", a), 0);
	assert_int_equal(shelf_put(engine, "heap-b", b), 0);
	assert_int_equal(shelf_put(engine, "heap-c", c), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), -EAGAIN);
	assert_int_equal(shelf_count(s), 3);
	assert_int_equal(hands_over(s, (ino_t[]){inode_of(a), inode_of(b), inode_of(c)}, 3,
				    "heap-a:heap-b:heap-c"),
			 0);
	assert_int_equal(shelf_remove(engine, "heap-b"), 0);
	assert_int_equal(shelf_remove(engine, "heap-x"), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(hands_over(s, (ino_t[]){inode_of(a), inode_of(c)}, 2, "heap-a:heap-c"), 0);
	assert_int_equal(shelf_remove(engine, "heap-a"), 0);
	assert_int_equal(shelf_remove(engine, "heap-c"), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(hands_over(s, NULL, 0, ""), 0);
	shelf_free(s);
	close(a);
	close(b);
	close(c);
}

/* Whatever the order, nothing is overwritten before it has been moved. */
static void test_places_may_be_taken(void **state)
{
	struct shelf *s = empty();
	int below[2], a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC);
	ino_t inodes[2] = {inode_of(b), inode_of(a)};

	below[0] = fcntl(a, F_DUPFD_CLOEXEC, 5);
	below[1] = fcntl(b, F_DUPFD_CLOEXEC, 5);
	assert_int_equal(shelf_put(engine, "b", b), 0);
	assert_int_equal(shelf_put(engine, "a", a), 0);
	close(below[0]); /* what comes in stands low */
	close(below[1]);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(hands_over(s, inodes, 2, "b:a"), 0);
	shelf_free(s);
	close(a);
	close(b);
}

static void pass(int at, int fd, const char *n, const char *names)
{
	assert_int_equal(dup2(fd, at), at);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void test_what_listens_stays(void **state)
{
	int kept[2] = {fcntl(3, F_DUPFD_CLOEXEC, 40), fcntl(4, F_DUPFD_CLOEXEC, 40)};
	int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
	    table = memfd_create("t", MFD_CLOEXEC);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct shelf *s;

	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listening, 1), 0);
	pass(3, listening, "2", "control:heap-t");
	pass(4, table, "2", "control:heap-t");
	assert_int_equal(shelf_new(&s), 0);
	assert_int_equal(shelf_count(s), 2);
	assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(shelf_remove(engine, "control"), 0);
	assert_int_equal(shelf_remove(engine, "heap-t"), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_count(s), 1);
	assert_true(fcntl(3, F_GETFD) >= 0);
	shelf_free(s);
	for (int i = 0; i < 2; i++) {
		dup2(kept[i], 3 + i);
		close(kept[i]);
	}
	close(listening);
	close(table);
}

static void test_nonsense_changes_nothing(void **state)
{
	struct shelf *s = empty();
	struct {
		uint32_t kind;
		char name[SHELF_NAME_BYTES];
	} m = {.kind = 1, .name = "a"};
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_int_equal(shelf_put(-1, "a", fd), -ENOTCONN);
	assert_int_equal(send(engine, "x", 1, 0), 1);
	assert_int_equal(send(engine, &m, sizeof(m), 0), sizeof(m)); /* without a descriptor */
	memset(m.name, 'a', sizeof(m.name));
	assert_int_equal(send(engine, &m, sizeof(m), 0), sizeof(m)); /* without an end */
	assert_int_equal(shelf_put(engine, "", fd), 0);
	assert_int_equal(shelf_put(engine, "a:b", fd), 0);
	assert_int_equal(shelf_put(engine, "a\nb", fd), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(shelf_receive(s, starter), 0);
	assert_int_equal(shelf_receive(s, starter), -EAGAIN);
	assert_int_equal(shelf_count(s), 0);
	shelf_free(s);
	close(fd);
}

static void test_there_is_an_end_to_it(void **state)
{
	struct shelf *s = empty();
	int fd = memfd_create("t", MFD_CLOEXEC);
	size_t most;

	for (int i = 0; i < 2 * PROFD_MAX_STORED_TABLES; i++) {
		assert_int_equal(shelf_put(engine, "a", fd), 0);
		assert_int_equal(shelf_receive(s, starter), 0);
	}
	most = shelf_count(s);
	assert_true(most >= PROFD_MAX_STORED_TABLES && most < PROFD_MAX_STORED_TABLES + 64);
	shutdown(engine, SHUT_RDWR);
	assert_int_equal(shelf_receive(s, starter), -ECONNRESET);
	shelf_free(s);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tables_are_kept_by_name, connect_both,
						hang_up),
		cmocka_unit_test_setup_teardown(test_places_may_be_taken, connect_both, hang_up),
		cmocka_unit_test_setup_teardown(test_what_listens_stays, connect_both, hang_up),
		cmocka_unit_test_setup_teardown(test_nonsense_changes_nothing, connect_both,
						hang_up),
		cmocka_unit_test_setup_teardown(test_there_is_an_end_to_it, connect_both, hang_up),
	};

	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	/* two that are handed over besides stand at 3 and 4 */
	for (int fd = 3; fd < 5; fd++)
		if (dup2(memfd_create("other", 0), fd) != fd)
			return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
