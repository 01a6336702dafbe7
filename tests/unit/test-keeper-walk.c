/*
 * daemon/keeper/walk finds what openat2(2) finds, and refuses what it refuses: the
 * two are asked the same of one tree. Where there is no openat2, only that nothing
 * outside is reached.
 */
#include "daemon/keeper/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"

static char outer[] = "/tmp/test-keeper-walk-XXXXXX";
static int tree; /* outer/tree */

static int make_tree(void **state)
{
	static const char *const links[][2] = {
		{"a/b/file", "tree/to-file"},
		{"/a/b/file", "tree/absolute"},
		{"/a/b/file", "tree/a/b/absolute"},
		{"../../../../a/b/file", "tree/a/b/escapes"},
		{"../secret", "tree/beside"},
		{"loop", "tree/loop"},
		{"two", "tree/one"},
		{"one", "tree/two"},
		{"b/..", "tree/a/self"},
		{"to-file", "tree/chain"},
		{"/", "tree/top"},
		{"nothing", "tree/dangling"},
		{"/proc/self/cwd", "tree/magic"},
	};
	char command[256];

	if (!mkdtemp(outer))
		return -1;
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p tree/a/b && echo 1 >tree/a/b/file && echo 2 >secret", outer);
	if (system(command) != 0 || chdir(outer) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			return -1;
	tree = open("tree", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return tree < 0 ? -1 : 0;
}

static int remove_tree(void **state)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r %s", outer);
	return chdir("/") < 0 || close(tree) < 0 ? -1 : system(command);
}

static int by_kernel(const char *path, bool links)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = links ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
				 : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, tree, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static void compare(const char *path, bool links)
{
	int expected = by_kernel(path, links), found = walk_below(tree, path, links);
	struct stat a, b;

	if (expected == -ENOSYS)
		return;
	if (expected < 0 || found < 0) {
		if (expected != found)
			fail_msg("%s, links %d: %d, openat2: %d", path, links, found, expected);
		return;
	}
	assert_int_equal(fstat(expected, &a), 0);
	assert_int_equal(fstat(found, &b), 0);
	if (a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		fail_msg("%s, links %d: another file", path, links);
	assert_true(fcntl(found, F_GETFL) & O_PATH);
	assert_true(fcntl(found, F_GETFD) & FD_CLOEXEC);
	close(expected);
	close(found);
}

static void test_it_finds_what_openat2_finds(void **state)
{
	static const char *const paths[] = {
		"a/b/absolute",
		"a/b/file",
		"a//b/./file",
		"a/../a/b/file",
		"/a/b/file",
		"to-file",
		"absolute",
		"a/b/escapes",
		"beside",
		"loop",
		"one",
		"a/self/b/file",
		"chain",
		"top/a/b/file",
		"dangling",
		"a/b/file/x",
		"nothing",
		"..",
		"../secret",
		"a/../../secret",
		"a/b/../../../secret",
		"",
		".",
		"to-file/x",
		"top/top/top/to-file",
		"/",
		"a/b/nothing",
		"/../../etc/hosts",
		"a",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		compare(paths[i], true);
		compare(paths[i], false);
	}
}

static void test_nothing_outside_is_reached(void **state)
{
	static const char *const paths[] = {"beside", "../secret", "a/../../secret",
					    "top/../secret", "magic/secret"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_true(walk_below(tree, paths[i], true) < 0);
		assert_true(walk_below(tree, paths[i], false) < 0);
	}
}

static void test_long_ways_end(void **state)
{
	static char path[8192];

	for (size_t i = 0; i + 2 < 4000; i += 2)
		memcpy(path + i, "a/", 2);
	assert_true(walk_below(tree, path, true) < 0);
	memset(path, '/', 4000);
	strcpy(path + 4000, "a/b/file");
	compare(path, true);
	memset(path, 'a', sizeof(path) - 1);
	assert_int_equal(walk_below(tree, path, true), -ENAMETOOLONG);
	path[300] = '\0';
	assert_int_equal(walk_below(tree, path, true), -ENAMETOOLONG);
}

static void test_no_descriptor_is_left(void **state)
{
	int before = dup(0), after;

	close(before);
	test_it_finds_what_openat2_finds(state);
	test_long_ways_end(state);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_finds_what_openat2_finds),
		cmocka_unit_test(test_nothing_outside_is_reached),
		cmocka_unit_test(test_long_ways_end),
		cmocka_unit_test(test_no_descriptor_is_left),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
