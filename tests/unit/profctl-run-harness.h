/*
 * profctl run, with this same program under the name "profd" as its private
 * daemon: it writes down what it is asked, and answers as $FAKE says.
 */
#pragma once

#include "tests/unit/profctl-harness.h"

#include <dlfcn.h>
#include <poll.h>

/* ---- the fake private profd */

static inline const char *option(int argc, char **argv, const char *name)
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

static inline void answer_finish(int fd, const Profd__Finish *finish, uint32_t pid)
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
static inline bool answer(int fd, uint32_t *pid)
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

static inline int be_profd(int argc, char **argv)
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

static inline void copy_file(const char *from, const char *dir, const char *name)
{
	char command[5000];

	snprintf(command, sizeof(command), "cp -L '%s' '%s/%s'", from, dir, name);
	assert_int_equal(system(command), 0);
}

static inline int set_up(void **state)
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

static inline void remove_file(const struct harness *h, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	unlink(path);
}

/* What is left besides these is profctl's, left behind: rmdir() fails. */
static inline int tear_down(void **state)
{
	static const char *const ours[] = {"profctl", "profd", "libprofd.so", "log"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		remove_file(*state, ours[i]);
	return harness_tear_down(state);
}

/* Runs profctl with options, up to NULL, then -- sh -c @script. */
static inline void run(struct harness *h, const char *script, ...)
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

static inline void assert_content(const struct harness *h, const char *name, const char *content)
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
static inline void assert_log(const struct harness *h, const char *expected)
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
