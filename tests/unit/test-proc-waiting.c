/* daemon/proc/waiting: the files' texts, and real threads. */
#include <errno.h>
#include <fcntl.h>
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

#include "daemon/proc/waiting.h"
#include "profd/base.h"

static void test_stat(void **state)
{
	char c = '?';

	assert_int_equal(waiting_parse_stat("1 (a) S 1 1 1 0 -1 4194560 1 2", &c), 0);
	assert_int_equal(c, 'S');
	assert_int_equal(waiting_parse_stat("1 (a) R 1) S 1 1 1 0 -1 4194560 1", &c), 0);
	assert_int_equal(waiting_parse_stat("1 (a) D 1 1 1 0 -1 4194560 1", &c), 0);
	assert_int_equal(waiting_parse_stat("1 (a) R 1 1 1 0 -1 4194560 1", &c), -EAGAIN);
	assert_int_equal(waiting_parse_stat("1 (a) Z 1 1 1 0 -1 4194560 1", &c), -ESRCH);
	assert_int_equal(waiting_parse_stat("1 (kthreadd) S 0 0 0 0 -1 2129984 0", &c), -ESRCH);
	assert_int_equal(waiting_parse_stat("", &c), -EBADMSG);
	assert_int_equal(waiting_parse_stat("1 (a) S 1 1", &c), -EBADMSG);
	assert_int_equal(waiting_parse_stat("1 (a S 1 1 1 0 -1 4194560", &c), -EBADMSG);
}

static void test_stack(void **state)
{
	struct waiting w = {0};

	assert_int_equal(
		waiting_parse_stack("[<0>] futex_wait_queue+0x68/0xa0\n"
				    "[<ffffffff81234567>] ext4_read.isra.0+0x1/0x2 [ext4]\n"
				    "[<0>] last",
				    &w),
		0);
	assert_int_equal(w.n_functions, 3);
	assert_string_equal(w.functions[0], "futex_wait_queue");
	assert_string_equal(w.functions[1], "ext4_read.isra.0");
	assert_string_equal(w.functions[2], "last");
	assert_int_equal(waiting_parse_stack("", &w), 0);
	assert_int_equal(waiting_parse_stack("no brackets\n", &w), -EBADMSG);
	assert_int_equal(waiting_parse_stack("x\n[<0>] a\n", &w), -EBADMSG);
	assert_int_equal(waiting_parse_stack("[<0>] a\"b\n", &w), -EBADMSG);
	assert_int_equal(w.n_functions, 3);
	for (int i = 0; i < 100; i++)
		assert_int_equal(waiting_parse_stack("[<0>] f+0x1/0x2\n", &w), 0);
	assert_int_equal(w.n_functions, WAITING_FUNCTIONS);
}

static void test_syscall(void **state)
{
	struct waiting w = {0};

	assert_int_equal(
		waiting_parse_syscall("35 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe00 0x7f0012\n", &w), 0);
	assert_int_equal(w.user_sp, 0x7ffe00);
	assert_int_equal(w.user_pc, 0x7f0012);
	assert_int_equal(w.syscall, 35);
	assert_int_equal(waiting_parse_syscall("-1 0x10 0x20", &w), 0);
	assert_int_equal(w.syscall, -1);
	assert_int_equal(w.user_pc, 0x20);
	assert_int_equal(waiting_parse_syscall("running\n", &w), -EAGAIN);
	assert_int_equal(waiting_parse_syscall("", &w), -EBADMSG);
	assert_int_equal(waiting_parse_syscall("0x1", &w), -EBADMSG);
	assert_int_equal(waiting_parse_syscall("1 0x1 2", &w), -EBADMSG);
	assert_int_equal(waiting_parse_syscall("1 0x1 0x2 \n0x3 x", &w), -EBADMSG);
	assert_int_equal(w.user_pc, 0x20);
}

static pid_t sought;
static int found;

static void each(pid_t pid, pid_t tid, void *userdata)
{
	found += pid == sought && tid == sought;
}

static void test_a_real_one(void **state)
{
	struct keeper *keeper;
	struct waiting w;
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_int_equal(keeper_new_local(&keeper), 0);
	while ((r = waiting_look(keeper, pid, pid, &w)) == -EAGAIN)
		usleep(1000);
	assert_int_equal(r, 0);
	print_message("in %s, to go on at %#lx\n", w.n_functions ? w.functions[0] : "?", w.user_pc);
	assert_true(w.user_pc != 0 && w.user_sp != 0);
	sought = pid;
	assert_true(waiting_scan(keeper, 100000, each, NULL) == 0);
	assert_int_equal(found, 1);
	assert_true(waiting_scan(keeper, 0, each, NULL) > 0); /* beyond the limit: counted */
	assert_int_equal(found, 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(waiting_look(keeper, pid, pid, &w), -ESRCH); /* a zombie */
	waitpid(pid, NULL, 0);
	assert_int_equal(waiting_look(keeper, pid, pid, &w), -ENOENT);
	assert_int_equal(waiting_look(keeper, getpid(), getpid(), &w), -EAGAIN);
	assert_int_equal(w.state, 'R');
	keeper_free(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_a_real_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
