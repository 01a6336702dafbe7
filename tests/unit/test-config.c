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

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
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
	char why[256];

	config_init(&c);
	write_file("# a comment\n[profd]\nfrequency = 49\nrotate = 5m\nkeep-bytes = 512M\n"
		   "keep-age = 0\nrotate-trim = no\nstate-dir = /srv/p\nring = 64K\n"
		   "event = page-faults:period=1\n");
	assert_int_equal(config_read(&c, path, false, why, sizeof(why)), 0);
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
	char why[256];

	config_init(&c);
	write_file(text);
	assert_int_equal(config_read(&c, path, false, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, complaint));
}

static void test_mistakes_are_named_with_their_line(void **state)
{
	expect_complaint("[profd]\nfrequency = 49\nfreqency = 49\n",
			 "line 3: freqency: no such setting");
	expect_complaint("[profd]\nrotate = 5 parsecs\n",
			 "line 2: rotate: 5 parsecs: write it like");
	expect_complaint("[profd]\nfrequency = 0\n", "line 2: frequency: 0: a whole number");
	expect_complaint("[profd]\nkeep-bytes = -1\n", "line 2: keep-bytes: -1: bytes");
	expect_complaint("[cpu]\nfrequency = 1\n", "[cpu]: no such section");
}

static void test_a_missing_file_matters_only_if_it_was_named(void **state)
{
	_cleanup_(config_done) struct config c;
	char why[256];

	config_init(&c);
	assert_int_equal(config_read(&c, "/nonexistent/p.conf", true, why, sizeof(why)), 0);
	assert_int_equal(config_read(&c, "/nonexistent/p.conf", false, why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings_are_taken),
		cmocka_unit_test(test_mistakes_are_named_with_their_line),
		cmocka_unit_test(test_a_missing_file_matters_only_if_it_was_named),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
