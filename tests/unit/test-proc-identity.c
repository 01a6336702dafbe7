/*
 * The texts of /proc/PID that a process has a hand in: maps, stat, status,
 * cgroup.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "daemon/proc/ending.h"
#include "daemon/proc/identity.h"
#include "daemon/proc/maps.h"
#include "profd/base.h"

static int collect(const struct maps_entry *e, void *userdata)
{
	char *seen = userdata;

	sprintf(seen + strlen(seen), "%lx-%lx %d %lx %x:%x %lu {%s};", e->start, e->end,
		e->executable, e->file_offset, e->major, e->minor, e->inode, e->path);
	return 0;
}

static void test_maps_text(void **state)
{
	static const char text[] =
		"00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/db us\\012x (deleted)\n"
		"7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n"
		"7f0000001000-7f0000002000 rw-p 00000000 00:00 0\n"
		"garbage\n"
		"2000-1000 r-xp 00000000 00:00 0 \n"
		"ffffffffffffffffff-2 r-xp 00000000 00:00 0 \n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]\n"
		"1000-2000 r-xp 0 00:00 0 cut";
	_cleanup_close_ int fd = memfd_create("maps", MFD_CLOEXEC);
	char seen[1024] = "";
	uint64_t malformed = 0;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(maps_read(fd, collect, seen, &malformed), 0);
	assert_string_equal(seen, "400000-452000 1 1000 8:2 173521 {/usr/bin/db us\nx (deleted)};"
				  "7f0000000000-7f0000001000 1 0 0:0 0 {};"
				  "7f0000001000-7f0000002000 0 0 0:0 0 {};"
				  "ffffffffff600000-ffffffffff601000 1 0 0:0 0 {[vsyscall]};");
	assert_int_equal(malformed, 4);
}

static void test_overlong_line_is_skipped(void **state)
{
	_cleanup_close_ int fd = memfd_create("maps", MFD_CLOEXEC);
	static char filler[100000];
	char seen[256] = "";
	uint64_t malformed = 0;

	memset(filler, 'x', sizeof(filler));
	dprintf(fd, "1000-2000 r-xp 00000000 00:00 1 /");
	assert_int_equal(write(fd, filler, sizeof(filler)), sizeof(filler));
	dprintf(fd, "\n3000-4000 r-xp 00000000 00:00 2 /b\n");
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(maps_read(fd, collect, seen, &malformed), 0);
	assert_string_equal(seen, "3000-4000 1 0 0:0 2 {/b};");
	assert_int_equal(malformed, 1);
}

static void test_stat_text_with_a_forged_comm(void **state)
{
	struct identity_stat st;

	assert_int_equal(identity_parse_stat("7 (a) R 1 (\n)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 "
					     "20 0 3 0 98765 1 2 3",
					     &st),
			 0);
	assert_string_equal(st.comm, "a) R 1 (\n)");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.threads, 3);
	assert_int_equal(st.start_ticks, 98765);
	assert_int_equal(identity_parse_stat("7 (a) S 1 7", &st), -EBADMSG);
	assert_int_equal(identity_parse_stat("", &st), -EBADMSG);
	assert_int_equal(identity_parse_stat(")(", &st), -EBADMSG);
}

static void test_uid_text(void **state)
{
	uid_t uid;

	assert_int_equal(identity_parse_uid("Name:\tx\nUid:\t7\t7\t7\t7\n", &uid), 0);
	assert_int_equal(uid, 7);
	assert_int_equal(identity_parse_uid("Name:\tx\nUid:\t7\t0\t0\t0\n", &uid), 0);
	assert_int_equal(uid, 0); /* setuid: root's, not the caller's */
	assert_int_equal(identity_parse_uid("Name:\tUid: 7\n", &uid), -EBADMSG);
}

static void the_inner_pid_is_the_last(void **state)
{
	pid_t pid = 0;

	assert_int_equal(identity_parse_inner_pid("Name:\tx\nNSpid:\t317\nVmPeak:\t9\n", &pid), 0);
	assert_int_equal(pid, 317);
	assert_int_equal(identity_parse_inner_pid("Name:\tx\nNSpid:\t317\t42\t1\n5\n", &pid), 0);
	assert_int_equal(pid, 1);
	assert_int_equal(identity_parse_inner_pid("Name:\tNSpid: 3\n", &pid), -EBADMSG);
	assert_int_equal(identity_parse_inner_pid("Name:\tx\nNSpid:\t\n7\n", &pid), -EBADMSG);
	assert_int_equal(identity_parse_inner_pid("Name:\tx\nNSpid:\t-1\n", &pid), -EBADMSG);
}

static void a_filter_is_known_by_its_mode(void **state)
{
	bool filtered = false;

	assert_int_equal(identity_parse_filtered("Name:\tx\nSeccomp:\t2\nS:\t0\n", &filtered), 0);
	assert_true(filtered);
	assert_int_equal(identity_parse_filtered("Name:\tx\nSeccomp:\t0\n", &filtered), 0);
	assert_false(filtered);
	assert_int_equal(identity_parse_filtered("Name:\tSeccomp: 1\n", &filtered), -EBADMSG);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check_unit(const char *cgroup, const char *expected)
{
	char unit[256];
	int rc = identity_parse_unit(cgroup, unit, sizeof(unit));

	assert_int_equal(rc, expected ? 0 : -ENOENT);
	if (expected)
		assert_string_equal(unit, expected);
}

static void test_unit_text(void **state)
{
	check_unit("0::/system.slice/nginx.service\n", "nginx.service");
	check_unit("0::/user.slice/user-1.slice/user@1.service/app.slice/a.scope/sub\n", "a.scope");
	check_unit("0::/system.slice/docker-" ID ".scope\n", ID);
	check_unit("0::/kubepods/burstable/pod12/" ID "\n", ID);
	check_unit("5:cpu:/x.service\n1:name=systemd:/system.slice/y.service\n0::/\n", "y.service");
	check_unit("5:cpu:/docker/" ID "\n", ID);
	check_unit("0::/\n", NULL);
	check_unit("0::/init.scope", "init.scope");
	check_unit("0::/" ID "0\n", NULL);
	/* as the engines write them: docker and podman with either driver, cri-o and
	 * containerd under Kubernetes, lxc, systemd-nspawn */
	check_unit("0::/docker/" ID "\n", ID);
	check_unit("12:memory:/docker/" ID "\n0::/system.slice/containerd.service\n",
		   "containerd.service");
	check_unit("0::/machine.slice/libpod-" ID ".scope/container\n", ID);
	check_unit("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
		   ".scope\n",
		   ID);
	check_unit("0::/libpod_parent/libpod-" ID "\n", ID);
	check_unit("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab12.slice/"
		   "cri-containerd-" ID ".scope\n",
		   ID);
	check_unit("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab12.slice/"
		   "crio-" ID ".scope/container\n",
		   ID);
	check_unit("0::/../crio-" ID ".scope\n", ID);
	check_unit("0::/../../pod12/" ID "\n", ID);
	check_unit("0::/lxc.payload.web\n", "web");
	check_unit("0::/lxc.payload.web/system.slice/nginx.service\n", "nginx.service");
	check_unit("0::/lxc/web\n", "web");
	check_unit("0::/lxc.monitor.web\n", NULL);
	check_unit("0::/machine.slice/systemd-nspawn@web.service/payload\n",
		   "systemd-nspawn@web.service");
	check_unit("0::/machine.slice/machine-web.scope\n", "machine-web.scope");
	check_unit("0::/lxc.payload.\n", NULL);
	check_unit("0::/lxc/\n", NULL);
	check_unit("", NULL);
	check_unit("::::\n:\n\n", NULL);
}

static void test_rollup_text(void **state)
{
	struct process_memory m = {.rss = 1};

	assert_int_equal(identity_parse_rollup("5581-7ffd ---p 00000000 00:00 0 [rollup]\n"
					       "Rss:                4096 kB\n"
					       "Pss_Anon:            100 kB\n"
					       "Anonymous:          1024 kB\n"
					       "Swap:                 12 kB\n",
					       &m),
			 0);
	assert_int_equal(m.rss, 4096 * 1024);
	assert_int_equal(m.anonymous, 1024 * 1024);
	assert_int_equal(m.swap, 12 * 1024);
	assert_int_equal(identity_parse_rollup("x\nRss: 1 kB\n", &m), -EBADMSG);
	assert_int_equal(m.rss, 4096 * 1024);
}

/* A child's ending, as zombie and when it has been waited for. */
static void test_ending(void **state)
{
	struct keeper *keeper;
	char text[64];
	pid_t pid;
	int fd, status = -1;
	siginfo_t si;

	assert_int_equal(keeper_new_local(&keeper), 0);
	pid = fork();
	if (pid == 0)
		raise(SIGKILL);
	fd = keeper_open_process(keeper, pid);
	assert_true(fd >= 0);
	assert_int_equal(process_read_ending(keeper, getpid(), -1, &status), -ENODATA);
	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_read_ending(keeper, pid, fd, &status), 0);
	assert_int_equal(status, SIGKILL);
	process_describe_ending(status, text, sizeof(text));
	assert_string_equal(text, "killed by SIGKILL");
	waitpid(pid, NULL, 0);
	if (process_read_ending(keeper, pid, fd, &status) == 0) /* Linux 6.15 on */
		assert_int_equal(status, SIGKILL);
	process_describe_ending(SIGSEGV | 0x80, text, sizeof(text));
	assert_string_equal(text, "killed by SIGSEGV, core dumped");
	process_describe_ending(SIGRTMIN + 1, text, sizeof(text));
	assert_true(strncmp(text, "killed by signal ", 17) == 0);
	process_describe_ending(3 << 8, text, sizeof(text));
	assert_string_equal(text, "exited with status 3");
	close(fd);
	keeper_free(keeper);
}

static void assert_oom_path(const char *cgroup, const char *wanted)
{
	char *path = ending_parse_oom_path(cgroup);

	if (wanted)
		assert_string_equal(path, wanted);
	else
		assert_null(path);
	free(path);
}

static void test_oom_count(void **state)
{
	uint64_t kills = 0;

	assert_oom_path("0::/a.slice/b.service\n",
			"/sys/fs/cgroup/a.slice/b.service/memory.events");
	assert_oom_path("0::/x\n4:cpu,memory:/y:z\n1:memoryx:/no\n",
			"/sys/fs/cgroup/memory/y:z/memory.oom_control");
	assert_oom_path("4:memory:/y\n0::/x", "/sys/fs/cgroup/memory/y/memory.oom_control");
	assert_oom_path("4:name=systemd:/y\n", NULL);
	assert_oom_path("0::/../../etc\n", NULL);
	assert_oom_path("0::/a/..\n", NULL);
	assert_oom_path("0::/a..b/..c\n", "/sys/fs/cgroup/a..b/..c/memory.events");
	assert_oom_path("0::", NULL);
	assert_oom_path("0:\n::\nx", NULL);
	assert_int_equal(
		ending_parse_oom_count("low 0\noom 3\noom_kill 2\noom_group_kill 9\n", &kills), 0);
	assert_int_equal(kills, 2);
	assert_int_equal(ending_parse_oom_count("oom_kill_disable 0\nunder_oom 0\n", &kills),
			 -EBADMSG);
	assert_int_equal(ending_parse_oom_count("", &kills), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps_text),
		cmocka_unit_test(test_overlong_line_is_skipped),
		cmocka_unit_test(test_stat_text_with_a_forged_comm),
		cmocka_unit_test(test_uid_text),
		cmocka_unit_test(test_unit_text),
		cmocka_unit_test(test_rollup_text),
		cmocka_unit_test(test_ending),
		cmocka_unit_test(test_oom_count),
		cmocka_unit_test(the_inner_pid_is_the_last),
		cmocka_unit_test(a_filter_is_known_by_its_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
