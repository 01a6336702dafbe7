/* Settings: what is taken, what is refused and how that is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "profd/base.h"

static char path[] = "/tmp/test-config-XXXXXX";
static char said[4096];
static unsigned n_said;

static void hear(const char *text, void *userdata)
{
	n_said++;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	said[0] = '\0';
	n_said = 0;
}

/* What the file with this text makes of the defaults. */
static void read_text(const char *text, struct config *ret)
{
	config_init(ret);
	write_file(text);
	assert_int_equal(config_read(ret, path, hear, NULL), 0);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

static void test_settings_are_taken(void **state)
{
	_cleanup_(config_done) struct config c;

	read_text("# a comment\n[profd]\nfrequency = 49\nrotate = 5m\nkeep-bytes = 512M\n"
		  "keep-age = 0\nrotate-trim = no\nstate-dir = /srv/p\nring = 64K\n"
		  "event = page-faults:period=1\n",
		  &c);
	assert_int_equal(n_said, 0);
	assert_int_equal(c.frequency_hz, 49);
	assert_int_equal(c.rotate_ns, 300 * NSEC_PER_SEC);
	assert_int_equal(c.limits.max_bytes, 512ULL << 20);
	assert_int_equal(c.limits.max_age_ns, 0);
	assert_false(c.rotate_trim);
	assert_int_equal(c.ring_bytes, 64 << 10);
	assert_string_equal(c.event, "page-faults:period=1");
	assert_string_equal(c.state_dir, "/srv/p");
}

static void expect_complaint(const char *text, const char *complaint)
{
	_cleanup_(config_done) struct config c;
	char expected[256];

	read_text(text, &c);
	assert_int_equal(n_said, 1);
	snprintf(expected, sizeof(expected), "%s:%s", path, complaint);
	if (strncmp(said, expected, strlen(expected)) != 0)
		fail_msg("\"%s\", not \"%s...\"", said, expected);
}

static void test_mistakes_are_named_with_file_and_line(void **state)
{
	expect_complaint("[profd]\nfrequency = 49\nfreqency = 49\n",
			 "3: freqency: no such setting");
	expect_complaint("[profd]\nrotate = 5 parsecs\n", "2: rotate: 5 parsecs: write it like");
	expect_complaint("[profd]\nfrequency = 0\n", "2: frequency: 0: a whole number");
	expect_complaint("[profd]\nkeep-bytes = -1\n", "2: keep-bytes: -1: bytes");
	expect_complaint("[cpu]\nfrequency = 1\n", "2: [cpu]: no such section");
	expect_complaint("[profd]\n\nfrequency\n", "3: frequency: not `key = value`");
	expect_complaint("[profd\n", "1: not understood");
}

static void test_a_mistake_costs_its_line_and_no_other(void **state)
{
	_cleanup_(config_done) struct config c;

	read_text("[profd]\nfrequency = 49\nrotate = never\nfrequency = much\nring = 64K\n", &c);
	assert_int_equal(n_said, 2);
	assert_int_equal(c.frequency_hz, 49);
	assert_int_equal(c.rotate_ns, 60 * NSEC_PER_SEC);
	assert_int_equal(c.ring_bytes, 64 << 10);
}

/* inih would read the rest of such a line as another. */
static void test_a_long_line_is_refused_whole(void **state)
{
	_cleanup_(config_done) struct config c;
	char text[1024], long_name[400];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	memcpy(long_name + 200 - strlen("debug-dir=/") - 3, "\tfrequency=7", 12);
	snprintf(text, sizeof(text), "[profd]\ndebug-dir=/%s\nring=64K\nfreqency=1\n", long_name);
	read_text(text, &c);
	assert_int_equal(n_said, 2);
	assert_non_null(strstr(said, ":2: longer than"));
	assert_non_null(strstr(said, ":4: freqency"));
	assert_int_equal(c.frequency_hz, 99);
	assert_int_equal(c.n_debug_dirs, 0);
	assert_int_equal(c.ring_bytes, 64 << 10);
}

static void test_a_line_that_is_indented_is_one_of_its_own(void **state)
{
	_cleanup_(config_done) struct config c;

	read_text("[profd]\nfrequency = 49\n  ring = 64K\n", &c);
	assert_int_equal(n_said, 0);
	assert_int_equal(c.ring_bytes, 64 << 10);
}

static void test_nothing_means_the_default_again(void **state)
{
	_cleanup_(config_done) struct config c;

	read_text("[profd]\nfrequency = 49\nfrequency =\nevent = cpu-clock\nevent =\n"
		  "debug-dir = /a\ndebug-dir = /b\ndebug-dir =\ndebug-dir = /c\n"
		  "state-dir = /x\nstate-dir =\nrotate-trim = no\nrotate-trim =\n",
		  &c);
	assert_int_equal(n_said, 0);
	assert_int_equal(c.frequency_hz, 99);
	assert_null(c.event);
	assert_int_equal(c.n_debug_dirs, 1);
	assert_string_equal(c.debug_dirs[0], "/c");
	assert_string_equal(c.state_dir, "/var/lib/profd");
	assert_true(c.rotate_trim);
}

static void test_a_file_that_cannot_be_read_is_told(void **state)
{
	_cleanup_(config_done) struct config c;

	config_init(&c);
	assert_int_equal(config_read(&c, "/nonexistent/p.conf", hear, NULL), -ENOENT);
	assert_int_equal(config_read(&c, "/tmp", hear, NULL), -EISDIR);
}

static void test_differences_are_seen_in_every_setting(void **state)
{
	static const char *const others[][2] = {
		{"state-dir", "/x"},   {"runtime-dir", "/x"}, {"event", "cpu-clock"},
		{"frequency", "7"},    {"ring", "64K"},	      {"rotate", "7s"},
		{"rotate-trim", "no"}, {"keep-age", "7h"},    {"keep-files", "7"},
		{"keep-bytes", "7M"},  {"keep-free", "7M"},   {"debug-dir", "/x"},
	};
	const char *form;
	size_t i;

	for (i = 0; config_setting_name(i); i++) {
		_cleanup_(config_done) struct config a;
		_cleanup_(config_done) struct config b;

		config_init(&a);
		config_init(&b);
		assert_true(i < ARRAY_SIZE(others));
		assert_string_equal(config_setting_name(i), others[i][0]);
		assert_int_equal(config_set(&b, others[i][0], others[i][1], &form), 0);
		for (size_t j = 0; config_setting_name(j); j++)
			assert_int_equal(config_differs(&a, &b, j), i == j);
	}
	assert_int_equal(i, ARRAY_SIZE(others));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings_are_taken),
		cmocka_unit_test(test_mistakes_are_named_with_file_and_line),
		cmocka_unit_test(test_a_mistake_costs_its_line_and_no_other),
		cmocka_unit_test(test_a_long_line_is_refused_whole),
		cmocka_unit_test(test_a_line_that_is_indented_is_one_of_its_own),
		cmocka_unit_test(test_nothing_means_the_default_again),
		cmocka_unit_test(test_a_file_that_cannot_be_read_is_told),
		cmocka_unit_test(test_differences_are_seen_in_every_setting),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
