/*
 * What Go's tools say about a profile, for unit tests: gocheck (tests/gocheck)
 * and `go tool pprof`. Where Go is not installed, tests skip and say so.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GO_BUILD                                                                                   \
	"GOPATH=/usr/share/gocode GO111MODULE=off GOFLAGS= "                                       \
	"GOCACHE=${GOCACHE:-$(dirname %s)/.gocache} "                                              \
	"go build -o %s ./tests/gocheck >&2"

static inline void go_skip(const char *why)
{
	fprintf(stderr, "SKIPPED: %s\n", why);
	skip();
}

static inline bool go_is_installed(void)
{
	return system("command -v go >/dev/null 2>&1") == 0;
}

/* Runs a shell command and gives what it wrote to stdout and stderr, malloc'd. */
static inline char *go_run(const char *command, int *ret_status)
{
	FILE *pipe = popen(command, "r");
	char *text = calloc(1, 1 << 20);
	size_t n;

	assert_non_null(pipe);
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, pipe);
	text[n] = '\0';
	*ret_status = pclose(pipe);
	return text;
}

/* The gocheck program: $GOCHECK, or gocheck beside the directory of the tests,
 * built on first use; skips the test if it cannot be had. */
static inline const char *go_check_program(void)
{
	static char path[4096];
	char command[16384], self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (getenv("GOCHECK"))
		return getenv("GOCHECK");
	assert_true(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../gocheck", self);
	if (access(path, X_OK) == 0)
		return path;
	if (!go_is_installed() || access("tests/gocheck/main.go", R_OK) < 0 ||
	    access("/usr/share/gocode/src/github.com/google/pprof", R_OK) < 0)
		go_skip("no gocheck: Go or its pprof package is not installed");
	snprintf(command, sizeof(command), GO_BUILD, path, path);
	if (system(command) != 0)
		fail_msg("gocheck does not build");
	return path;
}

/* Asserts that gocheck accepts @file; gives its JSON line, malloc'd. */
static inline char *go_check(const char *file)
{
	const char *program = go_check_program();
	char command[8192];
	char *text;
	int status;

	snprintf(command, sizeof(command), "%s %s 2>&1", program, file);
	text = go_run(command, &status);
	if (status != 0)
		fail_msg("gocheck: %s", text);
	return text;
}

/* Output of `go tool pprof @arguments @file`; skips if there is no Go. */
static inline char *go_pprof(const char *arguments, const char *file)
{
	char command[8192];
	char *text;
	int status;

	if (!go_is_installed())
		go_skip("Go is not installed");
	snprintf(command, sizeof(command), "PPROF_TMPDIR=/nonexistent go tool pprof %s %s 2>&1",
		 arguments, file);
	text = go_run(command, &status);
	if (status != 0)
		fail_msg("go tool pprof %s: %s", arguments, text);
	return text;
}
