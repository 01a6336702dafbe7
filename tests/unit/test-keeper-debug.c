/*
 * Opening debug files: only below the directories of debug files or beside the file,
 * only by a plain name, through no link, and of nobody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/keeper/keeper.h"
#include "profd/base.h"
#include "profd/limits.h"

#define STRANGER 65534

static const uint8_t build_id[] = {0xab, 0xcd, 0xef};
static struct keeper *keeper;
static char dir[32], program[64];

static char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, mode_t mode)
{
	_cleanup_close_ int fd = open(below(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	static const uint8_t head[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 3};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(fchmod(fd, mode), 0);
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/test-debug-XXXXXX");
	if (!mkdtemp(dir) || keeper_new_local(&keeper) < 0)
		return -1;
	snprintf(program, sizeof(program), "%s/program", dir);
	mkdir(below(".build-id"), 0755);
	mkdir(below(".build-id/ab"), 0755);
	mkdir(below(".debug"), 0755);
	mkdir(below(".dwz"), 0755);
	mkdir(below(".dwz/amd64"), 0755);
	make_file(".build-id/ab/cdef.debug", 0644);
	make_file(".build-id/ab/cdef", 0644);
	make_file("program.debug", 0644);
	make_file(".debug/hidden.debug", 0644);
	make_file(".dwz/amd64/shared.debug", 0644);
	make_file("closed.debug", 0600);
	if (mkfifo(below("fifo.debug"), 0644) < 0 ||
	    symlink("program.debug", below("link.debug")) < 0 ||
	    symlink("/etc", below(".build-id/ee")) < 0)
		return -1;
	return keeper_add_debug_dir(keeper, dir);
}

static int teardown(void **state)
{
	static const char *const files[] = {
		".build-id/ab/cdef.debug",
		".build-id/ab/cdef",
		"program.debug",
		".debug/hidden.debug",
		"fifo.debug",
		".dwz/amd64/shared.debug",
		"closed.debug",
		"link.debug",
		".build-id/ee",
	};
	static const char *const dirs[] = {".build-id/ab", ".build-id", ".debug", ".dwz/amd64",
					   ".dwz"};

	keeper_free(keeper);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(below(files[i]));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		rmdir(below(dirs[i]));
	return rmdir(dir);
}

/* 0 or -errno. */
static int ask(enum keeper_debug_place place, const char *name)
{
	struct keeper_debug wanted = {
		.place = place,
		.owner = getuid(),
		.build_id = build_id,
		.build_id_bytes = sizeof(build_id),
		.path = program,
		.name = name,
	};
	_cleanup_close_ int fd = keeper_open_debug(keeper, &wanted);

	if (fd >= 0) {
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	}
	return fd < 0 ? fd : 0;
}

static void test_places(void **state)
{
	assert_int_equal(ask(KEEPER_DEBUG_BY_ID, NULL), 0);
	assert_int_equal(ask(KEEPER_DEBUG_PROGRAM_BY_ID, NULL), 0);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "program.debug"), 0);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE_HIDDEN, "hidden.debug"), 0);
	assert_int_equal(ask(KEEPER_DEBUG_IN, "program.debug"), 0);
	assert_int_equal(ask(KEEPER_DEBUG_DWZ, "amd64/shared.debug"), 0);
	assert_int_equal(ask(KEEPER_DEBUG_BELOW, "program.debug"), -ENOENT);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "hidden.debug"), -ENOENT);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, NULL), -ENOENT);
}

static void test_directories_end(void **state)
{
	struct keeper_debug wanted = {.place = KEEPER_DEBUG_BY_ID, .dir = 3};

	wanted.build_id = build_id;
	wanted.build_id_bytes = sizeof(build_id);
	assert_int_equal(keeper_open_debug(keeper, &wanted), -ERANGE);
	/* An added directory is ours, not the target's. */
	wanted.in_target = true;
	wanted.dir = 2;
	assert_int_equal(keeper_open_debug(keeper, &wanted), -ERANGE);
	assert_int_equal(keeper_add_debug_dir(keeper, "relative"), -EINVAL);
}

static void test_names_are_plain(void **state)
{
	static const char *const names[] = {"",
					    ".",
					    "..",
					    "../program.debug",
					    "/etc/shadow",
					    "a/program.debug",
					    ".debug/hidden.debug"};
	char longest[300];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(ask(KEEPER_DEBUG_BESIDE, names[i]), -EINVAL);
		assert_int_equal(ask(KEEPER_DEBUG_BELOW, names[i]), -EINVAL);
		assert_int_equal(ask(KEEPER_DEBUG_IN, names[i]), -EINVAL);
	}
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, longest), -EINVAL);
	assert_int_equal(ask(KEEPER_DEBUG_DWZ, "../program.debug"), -EINVAL);
	assert_int_equal(ask(KEEPER_DEBUG_DWZ, "amd64/../x"), -EINVAL);
	assert_int_equal(ask(KEEPER_DEBUG_DWZ, "/etc/shadow"), -EINVAL);
	assert_int_equal(ask(KEEPER_DEBUG_DWZ, "a/b/c"), -EINVAL);
}

/* A split unit's file has a path: where it is, or below a directory of ours. */
static void test_split_units(void **state)
{
	static const char *const names[] = {
		"", "unit.dwo", "/etc/shadow", "/tmp/../x.dwo", "/tmp/x.dwo/..", "/.dwo/x.debug"};
	char path[64], longest[PROFD_MAX_PATH + 8];

	make_file(".dwz/unit.dwo", 0644);
	snprintf(path, sizeof(path), "%s//./.dwz/unit.dwo", dir);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, path), 0);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT_BELOW, path), -ENOENT);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT_BELOW, "/.dwz/unit.dwo"), 0);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, "/.dwz/unit.dwo"), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(ask(KEEPER_DEBUG_SPLIT, names[i]), -EINVAL);
		assert_int_equal(ask(KEEPER_DEBUG_SPLIT_BELOW, names[i]), -EINVAL);
	}
	memset(longest, '/', sizeof(longest));
	strcpy(longest + sizeof(longest) - 6, "x.dwo");
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, longest), -EINVAL);
	assert_int_equal(unlink(below(".dwz/unit.dwo")), 0);

	/* As beside the file: no links, and only its owner's, or root's for everyone. */
	assert_int_equal(symlink("../program.debug", below(".dwz/unit.dwo")), 0);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, path), -ELOOP);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT_BELOW, "/.dwz/unit.dwo"), -ELOOP);
	assert_int_equal(unlink(below(".dwz/unit.dwo")), 0);
	if (getuid() != 0)
		return;
	make_file(".dwz/unit.dwo", 0600);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, path), -EACCES);
	assert_int_equal(chown(below(".dwz/unit.dwo"), STRANGER, STRANGER), 0);
	assert_int_equal(chmod(below(".dwz/unit.dwo"), 0644), 0);
	assert_int_equal(ask(KEEPER_DEBUG_SPLIT, path), -EACCES);
	assert_int_equal(unlink(below(".dwz/unit.dwo")), 0);
}

static void test_links_are_not_followed(void **state)
{
	static const uint8_t through_link[] = {0xee, 0x01};
	struct keeper_debug wanted = {.place = KEEPER_DEBUG_BY_ID,
				      .build_id = through_link,
				      .build_id_bytes = sizeof(through_link)};

	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "link.debug"), -ELOOP);
	assert_int_equal(ask(KEEPER_DEBUG_IN, "link.debug"), -ELOOP);
	assert_int_equal(keeper_open_debug(keeper, &wanted), -ELOOP);
}

static void test_only_regular_files(void **state)
{
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "fifo.debug"), -EINVAL);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, ".debug"), -EINVAL);
}

static void test_nobody_elses(void **state)
{
	if (getuid() != 0) {
		print_message("skip: needs root\n");
		skip();
	}
	/* Root's, but not for everyone. */
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "closed.debug"), -EACCES);
	assert_int_equal(ask(KEEPER_DEBUG_IN, "closed.debug"), 0);
	assert_int_equal(chown(below("closed.debug"), STRANGER, STRANGER), 0);
	assert_int_equal(ask(KEEPER_DEBUG_BESIDE, "closed.debug"), -EACCES);
	assert_int_equal(ask(KEEPER_DEBUG_IN, "closed.debug"), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_are_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split_units, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_regular_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_elses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
