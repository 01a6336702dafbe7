/* What each user has of the control socket: places, connections a second, time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/control/users.h"
#include "profd/base.h"
#include "profd/limits.h"

#define BEGIN (1000 * NSEC_PER_SEC)

static struct users *users;

static int set_up(void **state)
{
	return users_new(&users);
}

static int tear_down(void **state)
{
	users_free(users);
	return 0;
}

/* How many of @n connections of @uid are let in at @now_ns; they leave at once. */
static unsigned connect_and_leave(uid_t uid, unsigned n, uint64_t now_ns)
{
	unsigned in = 0;

	for (unsigned i = 0; i < n; i++) {
		struct user *user = users_enter(users, uid, now_ns);

		if (!user)
			continue;
		in++;
		users_leave(users, user);
	}
	return in;
}

static void test_connections_a_second(void **state)
{
	assert_int_equal(connect_and_leave(7, 5000, BEGIN), PROFD_MAX_CONNECTS_BURST);
	assert_int_equal(connect_and_leave(8, 10, BEGIN), 10);
	assert_int_equal(connect_and_leave(7, 5000, BEGIN + NSEC_PER_SEC),
			 PROFD_MAX_CONNECTS_SECOND);
	assert_int_equal(connect_and_leave(7, 5000, BEGIN + 3600 * NSEC_PER_SEC),
			 PROFD_MAX_CONNECTS_BURST);
	assert_int_equal(connect_and_leave(0, 5000, BEGIN), 5000);
}

static void test_places(void **state)
{
	unsigned n = 0, all = 0;

	for (uid_t uid = 1; uid < 20; uid++) {
		struct user *user = users_enter(users, uid, BEGIN);

		for (n = 0; user && users_take_place(users, user); n++)
			user = users_enter(users, uid, BEGIN);
		all += n;
		if (uid == 1)
			assert_int_equal(n, PROFD_MAX_PEERS_OF_USER);
		users_leave(users, user);
	}
	assert_int_equal(all, PROFD_MAX_PEERS_OF_USERS);
}

static void test_a_place_is_given_back(void **state)
{
	struct user *user = NULL;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PROFD_MAX_PEERS_OF_USER; i++) {
			user = users_enter(users, 5, BEGIN);
			assert_true(users_take_place(users, user));
		}
		for (unsigned i = 0; i < PROFD_MAX_PEERS_OF_USER; i++)
			users_leave(users, user);
	}
}

static void test_time(void **state)
{
	struct user *user = users_enter(users, 5, BEGIN);

	assert_true(users_may_work(user, BEGIN));
	users_charge(user, PROFD_USER_WORK_BURST_MS * NSEC_PER_MSEC, BEGIN);
	assert_false(users_may_work(user, BEGIN));
	assert_true(users_may_work(user, BEGIN + NSEC_PER_SEC / 10));
	for (unsigned i = 0; i < 1000; i++) /* debts are forgiven some time */
		users_charge(user, 100 * NSEC_PER_SEC, BEGIN);
	assert_false(users_may_work(user, BEGIN + 10 * NSEC_PER_SEC));
	for (unsigned i = 0; i < 60; i++)
		(void)users_may_work(user, BEGIN + i * 10 * NSEC_PER_SEC);
	assert_true(users_may_work(user, BEGIN + 600 * NSEC_PER_SEC));
}

static void test_queues(void **state)
{
	struct user *user = users_enter(users, 5, BEGIN);

	assert_true(users_queue(user, PROFD_MAX_QUEUED_BYTES_OF_USER));
	assert_false(users_queue(user, 1));
	assert_true(users_queue(user, -100));
	assert_true(users_queue(user, 100));
}

static void test_users_come_and_go(void **state)
{
	struct user *held = users_enter(users, 1, BEGIN);

	for (uid_t uid = 2; uid < 5000; uid++)
		assert_int_equal(connect_and_leave(uid, 1, BEGIN + uid * NSEC_PER_SEC), 1);
	assert_ptr_equal(users_enter(users, 1, BEGIN + 5000 * NSEC_PER_SEC), held);
}

static void test_too_many_users_at_once(void **state)
{
	unsigned in = 0;

	for (uid_t uid = 1; uid < 1000; uid++)
		in += users_enter(users, uid, BEGIN) ? 1 : 0;
	assert_in_range(in, 64, 998);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_connections_a_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_place_is_given_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queues, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_users_come_and_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_users_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
