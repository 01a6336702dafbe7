/* profctl run: the command runs as if profctl were not there, and profd is told of it. */
#include "tests/unit/profctl-run-harness.h"

/* ---- the command runs as if profctl were not there */

static void test_exit_status(void **state)
{
	struct harness *h = *state;

	run(h, "exit 0", "--output", h->dir, NULL);
	assert_int_equal(h->code, 0);
	run(h, "exit 7", "--output", h->dir, NULL);
	assert_int_equal(h->code, 7);
	run(h, "kill -9 $$", "--output", h->dir, NULL);
	assert_int_equal(h->code, 137);
}

static void test_command_that_cannot_start(void **state)
{
	struct harness *h = *state;
	char *none[] = {NULL,	(char *)"run",	       (char *)"--output",
			h->dir, (char *)"no-such-cmd", NULL};
	char *plain[] = {NULL,	 (char *)"run",		(char *)"--output",
			 h->dir, (char *)"/etc/passwd", NULL};

	harness_run(h, none);
	assert_int_equal(h->code, 127);
	assert_string_equal(h->err, "profctl: no-such-cmd: No such file or directory\n");
	remove_file(h, "log");
	harness_run(h, plain);
	assert_int_equal(h->code, 126);
	assert_string_equal(h->err, "profctl: /etc/passwd: Permission denied\n");
	/* Nothing ran, so nothing is to be written. */
	assert_log(h, "watch\ngone\n");
}

static void test_environment(void **state)
{
	struct harness *h = *state;
	char expected[512];

	setenv("LD_PRELOAD", "libm.so.6", 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1); /* for an ASan build of profctl */
	run(h, "echo $LD_PRELOAD $PROFD_RATE; test -S $PROFD_SOCKET", "--rate", "1", "--output",
	    h->dir, NULL);
	unsetenv("LD_PRELOAD");
	unsetenv("ASAN_OPTIONS");
	assert_int_equal(h->code, 0);
	snprintf(expected, sizeof(expected), "%s/libprofd.so:libm.so.6 1\n", h->dir);
	assert_string_equal(h->out, expected);
}

static void test_streams_and_descriptors_are_as_bare(void **state)
{
	static const char script[] = "cat; ls /proc/$$/fd; echo wrong >&2";
	struct harness *h = *state;
	char *bare[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
	_cleanup_free_ char *expected = NULL;

	harness_run(h, bare);
	assert_int_equal(strncmp(h->out, "typed\n", 6), 0);
	expected = strdup(h->out);
	run(h, script, "--cpu", "/dev/null", NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, expected);
	assert_string_equal(h->err, "wrong\nprofctl: wrote /dev/null\n");
}

/* Not by a shell: it sets its own. */
static void test_signals_are_as_bare(void **state)
{
	struct harness *h = *state;
	char *argv[] = {NULL,
			(char *)"run",
			(char *)"--cpu",
			(char *)"/dev/null",
			(char *)"/bin/grep",
			(char *)"-E",
			(char *)"Sig(Blk|Ign)",
			(char *)"/proc/self/status",
			NULL};
	_cleanup_free_ char *expected = NULL;

	harness_run(h, argv + 4);
	expected = strdup(h->out);
	harness_run(h, argv);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, expected);
}

static void test_signals_are_handed_on(void **state)
{
	struct harness *h = *state;

	run(h, "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.01; done", "--output",
	    h->dir, NULL);
	assert_int_equal(h->code, 9);
	run(h, "trap 'exit 8' INT; kill -INT $PPID; while :; do sleep 0.01; done", "--output",
	    h->dir, NULL);
	assert_int_equal(h->code, 8);
	assert_non_null(strstr(h->err, "heap_a.pb.gz")); /* and its profiles are there */
}

/* ---- what profd is told, and when */

static void test_order(void **state)
{
	struct harness *h = *state;
	char expected[512], line[512];

	run(h, "echo ran >>$FAKE_LOG", "--output", h->dir, "-F", "200", "--event", "cpu-clock",
	    NULL);
	assert_log(h, "watch\nran\nfinish cpu heap\ngone\n");
	snprintf(expected, sizeof(expected),
		 "profctl: wrote %s/cpu_T.pb.gz\nprofctl: wrote %s/heap_b.pb.gz\n"
		 "profctl: wrote %s/heap_a.pb.gz\n",
		 h->dir, h->dir, h->dir);
	assert_string_equal(h->err, expected);
	run(h, "head -n1 $FAKE_LOG", "--output", h->dir, "-F", "200", "-e", "cpu-clock", NULL);
	snprintf(line, sizeof(line), " --state-dir %s --frequency 200 --event cpu-clock\n", h->dir);
	assert_non_null(strstr(h->out, line));
	assert_non_null(strstr(h->out, "--private --foreground --runtime-dir /tmp/test-ctl-"));
	assert_non_null(strstr(h->out, "--ready-fd "));
}

static void test_named_files(void **state)
{
	struct harness *h = *state;
	char cpu[128], heap[128];

	snprintf(cpu, sizeof(cpu), "%s/cpu.pb.gz", h->dir);
	snprintf(heap, sizeof(heap), "%s/heap.pb.gz", h->dir);
	run(h, "true", "--cpu", cpu, "--heap", heap, NULL);
	assert_log(h, "watch\nfinish cpu heap send\ngone\n");
	assert_content(h, "cpu.pb.gz", "CPU");
	assert_content(h, "heap.pb.gz", "HEAP"); /* the command's own */
	assert_non_null(strstr(h->err, "heaps of 1 other processes were not written"));
	remove_file(h, "cpu.pb.gz");
	remove_file(h, "heap.pb.gz");
	run(h, "true", "--heap", heap, NULL);
	assert_log(h, "watch\nfinish heap send\ngone\n");
	remove_file(h, "heap.pb.gz");
	snprintf(cpu, sizeof(cpu), "%s/off.pb.gz", h->dir);
	run(h, "true", "--offcpu", cpu, NULL);
	assert_log(h, "watch offcpu\nfinish offcpu send\ngone\n");
	assert_content(h, "off.pb.gz", "OFFCPU");
	remove_file(h, "off.pb.gz");
}

static void test_a_name_for_each_process(void **state)
{
	struct harness *h = *state;
	char heap[128], own[32], other[32];
	int pid;

	snprintf(heap, sizeof(heap), "%s/heap.%%p", h->dir);
	run(h, "echo $$", "--heap", heap, NULL);
	pid = atoi(h->out);
	assert_true(pid > 0);
	snprintf(own, sizeof(own), "heap.%d", pid);
	snprintf(other, sizeof(other), "heap.%d", pid + 1);
	assert_content(h, own, "HEAP");
	assert_content(h, other, "OTHER");
	assert_null(strstr(h->err, "other processes"));
	remove_file(h, own);
	remove_file(h, other);
}

static void test_every(void **state)
{
	struct harness *h = *state;
	char heap[128];

	snprintf(heap, sizeof(heap), "%s/heap.%%t", h->dir);
	run(h, "cd ${FAKE_LOG%/*}; until ls heap.*; do sleep 0.01; done; cat heap.*; rm heap.*",
	    "--every", "20ms", "--heap", heap, NULL);
	assert_int_equal(h->code, 0);
	assert_non_null(strstr(h->out, "EARLY"));
	assert_log(h, "watch\nsnapshot every 20000000\nfinish heap send\ngone\n");
	assert_non_null(strstr(h->err, "profctl: wrote 1 files while it ran\n"));
	run(h, "cd ${FAKE_LOG%/*}; rm heap.*", "--output", h->dir, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exit_status),
		TEST(test_command_that_cannot_start),
		TEST(test_environment),
		TEST(test_streams_and_descriptors_are_as_bare),
		TEST(test_signals_are_as_bare),
		TEST(test_signals_are_handed_on),
		TEST(test_order),
		TEST(test_named_files),
		TEST(test_a_name_for_each_process),
		TEST(test_every),
	};

	if (strcmp(program_invocation_short_name, "profd") == 0)
		return be_profd(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
