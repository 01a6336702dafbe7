/*
 * profctl run, with this same program under the name "profd" as its private
 * daemon: it writes down what it is asked, and answers as $FAKE says.
 */
#include "tests/unit/profctl-harness.h"

#include <dlfcn.h>
#include <poll.h>

/* ---- the fake private profd */

static const char *option(int argc, char **argv, const char *name)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return "";
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	FILE *log = fopen(getenv("FAKE_LOG"), "a");
	va_list args;

	if (!log)
		abort();
	va_start(args, format);
	vfprintf(log, format, args);
	va_end(args);
	fclose(log);
}

static void answer_finish(int fd, const Profd__Finish *finish, uint32_t pid)
{
	note("finish%s%s%s%s\n", finish->cpu ? " cpu" : "", finish->heap ? " heap" : "",
	     finish->offcpu ? " offcpu" : "", finish->send_files ? " send" : "");
	if (strcmp(getenv("FAKE"), "missing") == 0) {
		fake_missing(fd, "heap", pid, "no client attached");
		fake_done(fd, 0, 1);
		return;
	}
	if (finish->cpu)
		fake_file(fd, "cpu", 0, "cpu_T.pb.gz", "", finish->send_files ? "CPU" : NULL);
	if (finish->offcpu)
		fake_file(fd, "offcpu", 0, "offcpu_T.pb.gz", "",
			  finish->send_files ? "OFFCPU" : NULL);
	if (finish->heap) {
		fake_file(fd, "heap", pid + 1, "heap_b.pb.gz", "",
			  finish->send_files ? "OTHER" : NULL);
		fake_file(fd, "heap", pid, "heap_a.pb.gz", "", finish->send_files ? "HEAP" : NULL);
	}
	fake_done(fd, 3, 0);
}

/* Returns false at the end of the connection. */
static bool answer(int fd, uint32_t *pid)
{
	Profd__Request *request = fake_receive(fd);
	bool refuse = strcmp(getenv("FAKE"), "refuse") == 0;
	bool unable = strcmp(getenv("FAKE"), "unable") == 0;

	if (!request)
		return false;
	if (request->verb_case == PROFD__REQUEST__VERB_WATCH) {
		*pid = request->watch->pid;
		if (request->watch->timers_hz > 0)
			note("watch by timers %u\n", request->watch->timers_hz);
		else
			note("watch%s\n", request->watch->offcpu ? " offcpu" : "");
		if (unable)
			fake_error_code(fd, EMFILE, "perf_event_open: too many open files");
		else if (refuse && request->watch->timers_hz == 0)
			fake_error(fd, "perf_event_open: Permission denied: ask root");
		else
			fake_done(fd, 0, 0);
		if (strcmp(getenv("FAKE"), "vanish") == 0)
			_exit(1);
	} else if (request->verb_case == PROFD__REQUEST__VERB_FINISH) {
		answer_finish(fd, request->finish, *pid);
	} else {
		note("snapshot every %lu\n", (unsigned long)request->snapshot->every_ns);
		fake_file(fd, "heap", *pid, "heap_a.pb.gz", "", "EARLY");
	}
	profd__request__free_unpacked(request, NULL);
	return true;
}

static int be_profd(int argc, char **argv)
{
	struct pollfd fds[3] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	int ready = atoi(option(argc, argv, "--ready-fd"));
	uint32_t pid = 0;
	char path[256];

	alarm(HARNESS_PATIENCE_S);
	if (read(STDIN_FILENO, path, 1) != 0)
		abort(); /* it is the command's */
	for (int i = 1; i < argc; i++)
		note("%s%s", argv[i], i + 1 < argc ? " " : "\n");
	if (strcmp(getenv("FAKE"), "die") == 0) {
		fprintf(stderr, "profd: event: unknown\n");
		return 1;
	}
	snprintf(path, sizeof(path), "%s/profd.sock", option(argc, argv, "--runtime-dir"));
	fds[2] = (struct pollfd){.fd = harness_listen(path), .events = POLLIN};
	if (write(ready, "1", 1) != 1)
		return 1;
	close(ready);
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			return 1;
		if (fds[2].revents != 0)
			fds[fds[0].fd < 0 ? 0 : 1].fd = accept(fds[2].fd, NULL, NULL);
		if (fds[1].revents != 0 && !answer(fds[1].fd, &pid))
			fds[1].fd = -1;
		if (fds[0].revents != 0 && !answer(fds[0].fd, &pid))
			break; /* the one that watched */
	}
	note("gone\n");
	return 0;
}

/* ---- an installation of it, and of the real profctl */

static void copy_file(const char *from, const char *dir, const char *name)
{
	char command[5000];

	snprintf(command, sizeof(command), "cp -L '%s' '%s/%s'", from, dir, name);
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	struct harness *h;
	char self[4096], text[128];
	Dl_info info;

	if (harness_set_up(state) < 0)
		return -1;
	h = *state;
	copy_file(h->program, h->dir, "profctl");
	harness_beside(program_invocation_short_name, self, sizeof(self));
	copy_file(self, h->dir, "profd");
	/* Any library will do, as long as it can be loaded. */
	if (!dladdr(dlsym(RTLD_DEFAULT, "protobuf_c_version"), &info))
		return -1;
	copy_file(info.dli_fname, h->dir, "libprofd.so");
	snprintf(h->program, sizeof(h->program), "%s/profctl", h->dir);
	snprintf(text, sizeof(text), "%s/log", h->dir);
	setenv("FAKE_LOG", text, 1);
	setenv("FAKE", "ok", 1);
	setenv("TMPDIR", h->dir, 1);
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("LD_PRELOAD");
	return 0;
}

static void remove_file(const struct harness *h, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	unlink(path);
}

/* What is left besides these is profctl's, left behind: rmdir() fails. */
static int tear_down(void **state)
{
	static const char *const ours[] = {"profctl", "profd", "libprofd.so", "log"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		remove_file(*state, ours[i]);
	return harness_tear_down(state);
}

/* Runs profctl with options, up to NULL, then -- sh -c @script. */
static void run(struct harness *h, const char *script, ...)
{
	char *argv[24] = {NULL, (char *)"run"};
	va_list args;
	int n = 2;

	remove_file(h, "log");
	va_start(args, script);
	while ((argv[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	argv[n++] = (char *)"--";
	argv[n++] = (char *)"/bin/sh";
	argv[n++] = (char *)"-c";
	argv[n] = (char *)script;
	harness_run(h, argv);
}

static void assert_content(const struct harness *h, const char *name, const char *content)
{
	char path[128], text[HARNESS_TEXT_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	harness_read(fd, text, sizeof(text));
	close(fd);
	assert_string_equal(text, content);
}

/* The log's first line is profd's command line; the rest must be @expected. */
static void assert_log(const struct harness *h, const char *expected)
{
	char path[128], text[HARNESS_TEXT_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/log", h->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	harness_read(fd, text, sizeof(text));
	close(fd);
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n') + 1, expected);
}

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
	snprintf(line, sizeof(line), " --state-dir %s --ready-fd ", h->dir);
	assert_non_null(strstr(h->out, line));
	assert_non_null(strstr(h->out, "--private --foreground --runtime-dir /tmp/test-ctl-"));
	assert_non_null(strstr(h->out, " --frequency 200 --event cpu-clock\n"));
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

/* ---- what can go wrong */

#define TIMERS_SAID                                                                                \
	"profctl: CPU samples by the program's own timers: user stacks only; perf_event_open was " \
	"refused: Permission denied: ask root\n"

/* Where perf events are refused the program samples itself, unless an event was
 * asked for by name. */
static void test_cpu_by_timers(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "refuse", 1);
	run(h, "echo cpu $PROFD_CPU", "--output", h->dir, NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "cpu 99\n");
	assert_non_null(strstr(h->err, TIMERS_SAID));
	assert_log(h, "watch\nwatch by timers 99\nfinish cpu heap\ngone\n");
	run(h, "echo cpu $PROFD_CPU; test -n \"$LD_PRELOAD\"", "--cpu", "/dev/null", "-F", "250",
	    NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "cpu 250\n");
	run(h, "echo ran", "--output", h->dir, "--event", "x", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profctl: perf_event_open: Permission denied: ask root\n");
	run(h, "echo ran $PROFD_CPU", "--heap", "/dev/null", NULL);
	assert_string_equal(h->out, "ran\n");
	assert_null(strstr(h->err, "Permission denied"));
}

static void test_cpu_by_timers_on_request(void **state)
{
	struct harness *h = *state;

	setenv("PROFD_CPU", "7", 1); /* of a run around this one */
	run(h, "echo cpu $PROFD_CPU", "--output", h->dir, NULL);
	assert_string_equal(h->out, "cpu\n");
	run(h, "echo cpu $PROFD_CPU", "--cpu", "/dev/null", NULL);
	assert_string_equal(h->out, "cpu\n");
	run(h, "echo cpu $PROFD_CPU", "--event", "timers", "--output", h->dir, NULL);
	assert_string_equal(h->out, "cpu 99\n");
	assert_log(h, "watch by timers 99\nfinish cpu heap\ngone\n");
	assert_null(strstr(h->err, "refused"));
	run(h, "echo ran", "--event", "timers", "-F", "1001", "--output", h->dir, NULL);
	assert_int_equal(h->code, 2);
	unsetenv("PROFD_CPU");
}

/* What is no refusal: there are no CPU samples, but the heap. */
static void test_cpu_not_to_be_had(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "unable", 1);
	run(h, "echo ran", "--output", h->dir, NULL);
	assert_int_equal(h->code, 0);
	assert_string_equal(h->out, "ran\n");
	assert_non_null(strstr(h->err, "profctl: no CPU profile, only the heap: perf_event_open: "
				       "too many open files\n"));
	assert_log(h, "watch\nfinish heap\ngone\n");
	run(h, "echo ran", "--cpu", "/dev/null", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profctl: perf_event_open: too many open files\n");
}

static void test_daemon_that_does_not_start(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "die", 1);
	run(h, "echo ran", "--output", h->dir, NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_string_equal(h->err, "profd: event: unknown\n"
				    "profctl: profd: did not start, so the command was not run\n");
}

static void test_daemon_that_vanishes(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "vanish", 1);
	run(h, "sleep 0.05; exit 7", "--output", h->dir, NULL);
	assert_int_equal(h->code, 7);
	assert_non_null(strstr(h->err, "profctl: profd: closed the connection"));
}

static void test_missing(void **state)
{
	struct harness *h = *state;

	setenv("FAKE", "missing", 1);
	run(h, "true", "--heap", "/dev/null", NULL);
	assert_int_equal(h->code, 0);
	assert_non_null(strstr(h->err, "no client attached\n"));
	assert_string_equal(strchr(h->err, '\n'), "\n");
}

static void test_nothing_runs_if_output_is_bad(void **state)
{
	struct harness *h = *state;
	char path[128];

	run(h, "echo ran", "--output", "/nonexistent", NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
	assert_non_null(strstr(h->err, "profctl: /nonexistent: No such file or directory: "));
	snprintf(path, sizeof(path), "%s/none/x", h->dir);
	run(h, "echo ran", "--heap", path, NULL);
	assert_int_equal(h->code, 1);
	assert_string_equal(h->out, "");
}

static void test_installation_is_incomplete(void **state)
{
	struct harness *h = *state;

	remove_file(h, "libprofd.so");
	run(h, "echo ran", "--output", h->dir, NULL);
	if (access("/usr/lib/profd/libprofd.so", F_OK) == 0)
		skip();
	assert_int_equal(h->code, 1);
	assert_non_null(strstr(h->err, "profctl: libprofd.so: not found beside profctl ("));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
		TEST(test_cpu_by_timers),
		TEST(test_cpu_by_timers_on_request),
		TEST(test_cpu_not_to_be_had),
		TEST(test_daemon_that_does_not_start),
		TEST(test_daemon_that_vanishes),
		TEST(test_missing),
		TEST(test_nothing_runs_if_output_is_bad),
		TEST(test_installation_is_incomplete),
	};

	if (strcmp(program_invocation_short_name, "profd") == 0)
		return be_profd(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
