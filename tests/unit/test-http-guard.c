/* client/http: who is let in: Host, Origin, passwords; and what is listened on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "client/http/guard.c"
#undef HOST_MAX
#include "client/http/listen.c"
#include "client/http/password.c"

static void test_hosts_of_ours(void **state)
{
	const char *names[] = {"box.example"};
	const struct guard guard = {.hosts = names, .n_hosts = 1};

	assert_true(guard_allows_host(&guard, NULL));
	assert_true(guard_allows_host(&guard, "localhost"));
	assert_true(guard_allows_host(&guard, "LOCALHOST:6060"));
	assert_true(guard_allows_host(&guard, "127.0.0.1:6060"));
	assert_true(guard_allows_host(&guard, "10.1.2.3"));
	assert_true(guard_allows_host(&guard, "[::1]:6060"));
	assert_true(guard_allows_host(&guard, "Box.example:6060"));
}

static void test_hosts_of_others(void **state)
{
	const struct guard guard = {};

	assert_false(guard_allows_host(&guard, "evil.example"));
	assert_false(guard_allows_host(&guard, "evil.example:6060"));
	assert_false(guard_allows_host(&guard, "localhost.evil.example"));
	assert_false(guard_allows_host(&guard, "127.0.0.1.evil.example"));
	assert_false(guard_allows_host(&guard, "localhost:6060@evil.example"));
	assert_false(guard_allows_host(&guard, "[::1"));
	assert_false(guard_allows_host(&guard, "[::1]evil"));
	assert_false(guard_allows_host(&guard, "box.example"));
	assert_false(guard_allows_host(&guard, ""));
	assert_false(guard_allows_host(&guard, ":6060"));
}

static void test_origins(void **state)
{
	assert_true(guard_allows_origin(NULL, NULL, "localhost:6060"));
	assert_true(guard_allows_origin("none", NULL, "localhost:6060"));
	assert_true(guard_allows_origin("same-origin", "http://localhost:6060", "localhost:6060"));
	assert_false(guard_allows_origin("cross-site", NULL, "localhost:6060"));
	assert_false(guard_allows_origin("same-site", NULL, "localhost:6060"));
	assert_false(guard_allows_origin(NULL, "http://evil.example", "localhost:6060"));
	assert_false(guard_allows_origin(NULL, "null", "localhost:6060"));
	assert_false(guard_allows_origin(NULL, "http://localhost:6061", "localhost:6060"));
}

/* A file of @text, gone when the program ends. */
static const char *file_of(const char *text)
{
	static char path[64];
	int fd = memfd_create("passwords", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void test_passwords(void **state)
{
	struct passwords *p;
	struct crypt_data data = {};
	char text[512];

	snprintf(text, sizeof(text), "# who may\n\nann:%s\n",
		 crypt_r("secret", "$6$rounds=1000$abcdefgh", &data));
	assert_int_equal(passwords_read(file_of(text), &p), 0);
	assert_true(passwords_check(p, "ann", "secret"));
	assert_true(passwords_check(p, "ann", "secret")); /* what was kept */
	assert_false(passwords_check(p, "ann", "secret2"));
	assert_false(passwords_check(p, "ann", "secre"));
	assert_false(passwords_check(p, "ann", ""));
	assert_false(passwords_check(p, "bob", "secret"));
	assert_false(passwords_check(p, "", "secret"));
	assert_false(passwords_check(p, "", ""));
	passwords_free(p);
}

static void test_files_that_are_no_passwords(void **state)
{
	struct passwords *p;

	assert_int_equal(passwords_read(file_of(""), &p), -EBADMSG);
	assert_int_equal(passwords_read(file_of("ann\n"), &p), -EBADMSG);
	assert_int_equal(passwords_read(file_of("ann:\n"), &p), -EBADMSG);
	assert_int_equal(passwords_read(file_of(":x\n"), &p), -EBADMSG);
	/* a password in clear text is no hash */
	assert_int_equal(passwords_read(file_of("ann:*secret\n"), &p), -EBADMSG);
	assert_int_equal(passwords_read(file_of("ann:secret\n"), &p), -EBADMSG);
	assert_int_equal(passwords_read(file_of("ann:$6$secret\n"), &p), -EBADMSG);
	assert_int_equal(passwords_read("/nonexistent", &p), -ENOENT);
}

static void expect_local(const char *address, bool local)
{
	struct listener l;

	assert_int_equal(listen_open(address, 0600, &l), 0);
	assert_int_equal(l.local, local);
	listen_close(&l);
}

static void test_addresses(void **state)
{
	struct listener l;

	expect_local("127.0.0.1:0", true);
	expect_local("127.1.2.3:0", true);
	expect_local("localhost:0", true);
	expect_local("0.0.0.0:0", false);
	expect_local(":0", false);
	assert_int_equal(listen_open("127.0.0.1", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("127.0.0.1:", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("127.0.0.1:http", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("127.0.0.1:65536", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("::1:6060", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("example.org:80", 0600, &l), -EINVAL);
	assert_int_equal(listen_open("", 0600, &l), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts_of_ours),
		cmocka_unit_test(test_hosts_of_others),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_files_that_are_no_passwords),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
