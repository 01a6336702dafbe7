/*
 * Which files the settings come from: drop-ins in the order of their names,
 * masked by the same name in a stronger directory; reload all or nothing. And that
 * the manual page and the example name every setting, and no other.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/config_files.h"
#include "profd/base.h"

static char root[] = "/tmp/test-config-files-XXXXXX";
static char said[4096];

static void hear(const char *text, void *userdata)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static const char *below(const char *path)
{
	static char text[4][512];
	static unsigned at;
	char *to = text[at++ % 4];

	snprintf(to, sizeof(text[0]), "%s%s", root, path);
	return to;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(below(path), "w");

	assert_non_null(f);
	fprintf(f, "[profd]\n%s\n", text);
	fclose(f);
}

static int make_root(void **state)
{
	static const char *const dirs[] = {
		"/etc",
		"/run",
		"/usr",
		"/usr/lib",
		"/my.conf.d",
		"/etc/profd.conf.d",
		"/run/profd.conf.d",
		"/usr/lib/profd.conf.d",
	};

	strcpy(root, "/tmp/test-config-files-XXXXXX");
	said[0] = '\0';
	if (!mkdtemp(root))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(below(dirs[i]), 0755) < 0)
			return -1;
	return 0;
}

static int remove_root(void **state)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

static void load(struct config *c)
{
	config_init(c);
	assert_int_equal(config_load(c, root, hear, NULL), 0);
}

static void test_without_files_the_defaults_hold(void **state)
{
	_cleanup_(config_done) struct config c;

	load(&c);
	assert_int_equal(c.frequency_hz, 99);
	assert_string_equal(said, "");
}

static void test_drop_ins_follow_in_the_order_of_their_names(void **state)
{
	_cleanup_(config_done) struct config c;

	put("/etc/profd.conf", "frequency = 1\nring = 64K");
	put("/etc/profd.conf.d/10-a.conf", "frequency = 10\nrotate = 10s");
	put("/usr/lib/profd.conf.d/20-b.conf", "frequency = 20");
	put("/run/profd.conf.d/15-c.conf", "frequency = 15\nrotate = 15s");
	put("/etc/profd.conf.d/99-not-one", "frequency = 99");
	put("/etc/profd.conf.d/.99-hidden.conf", "frequency = 98");
	load(&c);
	assert_int_equal(c.frequency_hz, 20); /* the last name wins, not the directory */
	assert_int_equal(c.rotate_ns, 15 * NSEC_PER_SEC);
	assert_int_equal(c.ring_bytes, 64 << 10);
}

static void test_a_name_in_etc_masks_that_in_run_and_that_in_usr(void **state)
{
	_cleanup_(config_done) struct config c;

	put("/usr/lib/profd.conf.d/a.conf", "frequency = 1\nrotate = 1s");
	put("/run/profd.conf.d/a.conf", "frequency = 2\nring = 64K");
	put("/usr/lib/profd.conf.d/b.conf", "keep-files = 1\nkeep-age = 1h");
	put("/etc/profd.conf.d/b.conf", "keep-files = 3");
	load(&c);
	assert_int_equal(c.frequency_hz, 2);
	assert_int_equal(c.rotate_ns, 60 * NSEC_PER_SEC); /* the masked file is not read */
	assert_int_equal(c.limits.max_files, 3);
	assert_int_equal(c.limits.max_age_ns, 168 * 3600 * NSEC_PER_SEC);
}

static void test_dev_null_masks(void **state)
{
	_cleanup_(config_done) struct config c;

	put("/usr/lib/profd.conf.d/a.conf", "frequency = 1");
	assert_int_equal(symlink("/dev/null", below("/etc/profd.conf.d/a.conf")), 0);
	load(&c);
	assert_int_equal(c.frequency_hz, 99);
	assert_string_equal(said, "");
}

static void test_a_file_that_was_named_has_drop_ins_of_its_own(void **state)
{
	_cleanup_(config_done) struct config c;

	put("/etc/profd.conf", "frequency = 1");
	put("/etc/profd.conf.d/a.conf", "ring = 64K");
	put("/my.conf", "frequency = 2\nrotate = 2s");
	put("/my.conf.d/a.conf", "rotate = 3s");
	config_init(&c);
	c.file = strdup(below("/my.conf"));
	assert_int_equal(config_load(&c, root, hear, NULL), 0);
	assert_int_equal(c.frequency_hz, 2);
	assert_int_equal(c.rotate_ns, 3 * NSEC_PER_SEC);
	assert_int_equal(c.ring_bytes, 0);
	assert_int_equal(unlink(c.file), 0);
	assert_int_equal(config_load(&c, root, hear, NULL), -ENOENT);
}

static void test_a_drop_in_that_cannot_be_read_is_told(void **state)
{
	_cleanup_(config_done) struct config c;

	assert_int_equal(symlink("/nonexistent/x", below("/etc/profd.conf.d/a.conf")), 0);
	put("/etc/profd.conf.d/b.conf", "frequency = 7");
	load(&c);
	assert_int_equal(c.frequency_hz, 7);
	assert_non_null(strstr(said, "/etc/profd.conf.d/a.conf: No such file"));
}

static void test_a_reload_keeps_what_the_command_line_said(void **state)
{
	_cleanup_(config_done) struct config old;
	_cleanup_(config_done) struct config c;
	const char *form;
	char why[256];

	put("/etc/profd.conf", "frequency = 1\nrotate = 1s");
	load(&old);
	assert_int_equal(config_override(&old, "rotate", "9s", &form), 0);
	assert_int_equal(config_override(&old, "debug-dir", "/x", &form), 0);
	put("/etc/profd.conf", "frequency = 2\nrotate = 2s");
	assert_int_equal(config_reload(&old, root, &c, why, sizeof(why)), 0);
	assert_int_equal(c.frequency_hz, 2);
	assert_int_equal(c.rotate_ns, 9 * NSEC_PER_SEC);
	assert_int_equal(c.n_debug_dirs, 1);
	assert_int_equal(old.frequency_hz, 1);
}

static void test_a_reload_is_all_or_nothing(void **state)
{
	_cleanup_(config_done) struct config old;
	struct config c = {.frequency_hz = 12345};
	char why[256], expected[256];

	load(&old);
	put("/etc/profd.conf", "frequency = 2");
	put("/etc/profd.conf.d/a.conf", "ring = 64K\nrotate = never\nfoo = 1");
	assert_int_equal(config_reload(&old, root, &c, why, sizeof(why)), -EBADMSG);
	snprintf(expected, sizeof(expected), "%s:3: rotate: never: write it like",
		 below("/etc/profd.conf.d/a.conf"));
	assert_memory_equal(why, expected, strlen(expected));
	assert_int_equal(c.frequency_hz, 12345);
}

/* ---- what people read */

static bool file_names(const char *path, const char *form, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[512], wanted[128];
	bool found = false;

	assert_non_null(f);
	snprintf(wanted, sizeof(wanted), form, name);
	while (!found && fgets(line, sizeof(line), f))
		found = strncmp(line, wanted, strlen(wanted)) == 0;
	fclose(f);
	return found;
}

static bool is_setting(const char *name)
{
	for (size_t i = 0; config_setting_name(i); i++)
		if (strcmp(config_setting_name(i), name) == 0)
			return true;
	return false;
}

static void test_every_setting_is_in_the_manual_and_in_the_example(void **state)
{
	for (size_t i = 0; config_setting_name(i); i++) {
		const char *name = config_setting_name(i);

		if (!file_names("daemon/profd.conf.5", ".It Ic %s No =", name))
			fail_msg("profd.conf.5 does not have %s", name);
		if (!file_names("systemd/profd.conf", "#%s =", name))
			fail_msg("systemd/profd.conf does not have %s", name);
	}
}

static void test_the_manual_has_no_other_setting(void **state)
{
	FILE *f = fopen("daemon/profd.conf.5", "r");
	char line[512], name[64];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, ".It Ic %63s", name) == 1 && !is_setting(name))
			fail_msg("profd.conf.5 has %s, which is no setting", name);
	fclose(f);
}

/* As it is shipped, all of it is comment and says what holds anyway. */
static void test_the_example_says_the_defaults(void **state)
{
	_cleanup_(config_done) struct config c, fresh;
	FILE *from = fopen("systemd/profd.conf", "r"), *to = fopen(below("/etc/profd.conf"), "w");
	char line[512];

	assert_non_null(from);
	assert_non_null(to);
	while (fgets(line, sizeof(line), from)) {
		assert_true(line[0] == '#' || line[0] == '\n' || strcmp(line, "[profd]\n") == 0);
		fputs(line[0] == '#' && line[1] != ' ' && line[1] != '\n' ? line + 1 : line, to);
	}
	fclose(from);
	fclose(to);
	load(&c);
	assert_string_equal(said, "");
	config_init(&fresh);
	for (size_t i = 0; config_setting_name(i); i++)
		if (config_differs(&fresh, &c, i))
			fail_msg("systemd/profd.conf: %s is not its default",
				 config_setting_name(i));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
	const struct CMUnitTest tests[] = {
		TEST(test_without_files_the_defaults_hold),
		TEST(test_drop_ins_follow_in_the_order_of_their_names),
		TEST(test_a_name_in_etc_masks_that_in_run_and_that_in_usr),
		TEST(test_dev_null_masks),
		TEST(test_a_file_that_was_named_has_drop_ins_of_its_own),
		TEST(test_a_drop_in_that_cannot_be_read_is_told),
		TEST(test_a_reload_keeps_what_the_command_line_said),
		TEST(test_a_reload_is_all_or_nothing),
		TEST(test_every_setting_is_in_the_manual_and_in_the_example),
		TEST(test_the_manual_has_no_other_setting),
		TEST(test_the_example_says_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
