/* Profiles saved where the user wants them: whole, or not at all. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "client/profctl/save.c"

#define CONTENT_BYTES (3 * SAVE_CHUNK_BYTES + 5)

static const char *const used[] = {
	"heap_a_1_20261121T031244.998Z.pb.gz",
	"heap_a_1_20261121T031244.999Z.pb.gz",
	"heap_a_1_20261121T031245.000Z.pb.gz",
};

/* A file whose offset is at its end, as profd leaves it. */
static int make_source(char fill)
{
	int fd = memfd_create("source", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < CONTENT_BYTES; i++)
		assert_int_equal(write(fd, &(char){(char)(fill + (char)(i % 7))}, 1), 1);
	return fd;
}

static void check_content(int dir_fd, const char *name, char fill)
{
	_cleanup_free_ char *bytes = malloc(CONTENT_BYTES + 1);
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	assert_true(fd >= 0);
	while ((got = read(fd, bytes + n, CONTENT_BYTES + 1 - n)) > 0)
		n += (size_t)got;
	assert_int_equal(n, CONTENT_BYTES);
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != (char)(fill + (char)(i % 7)))
			fail_msg("byte %zu differs", i);
}

static size_t count_files(int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	closedir(dir);
	return n;
}

struct fixture {
	char dir[32];
	int dir_fd, source;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/test-save-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->dir_fd = save_open_dir(f->dir);
	f->source = make_source('a');
	*state = f;
	return f->dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		unlinkat(f->dir_fd, used[i], 0);
	close(f->dir_fd);
	close(f->source);
	r = rmdir(f->dir); /* fails if something was left that no test names */
	free(f);
	return r;
}

static void test_into_directory(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *name = NULL;
	struct stat st;

	assert_int_equal(save_into(f->dir_fd, used[0], f->source, &name), 0);
	assert_string_equal(name, used[0]);
	check_content(f->dir_fd, used[0], 'a');
	assert_int_equal(fstatat(f->dir_fd, used[0], &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, SAVE_MODE);
}

static void test_taken_names_move_on(void **state)
{
	struct fixture *f = *state;
	int other = make_source('k');

	for (size_t i = 0; i < 3; i++) {
		_cleanup_free_ char *name = NULL;

		assert_int_equal(save_into(f->dir_fd, used[0], i == 0 ? f->source : other, &name),
				 0);
		assert_string_equal(name, used[i]);
	}
	check_content(f->dir_fd, used[0], 'a');
	check_content(f->dir_fd, used[2], 'k');
	close(other);
}

static void test_names_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = {"", ".", "..", "../x", "/tmp/x", "a/b", ".hidden"};
	struct fixture *f = *state;
	char *name = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(save_into(f->dir_fd, bad[i], f->source, &name), -EBADMSG);
	assert_null(name);
	assert_int_equal(count_files(f->dir_fd), 0);
}

static void test_unreadable_source_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char *name = NULL, path[96];
	int fds[2];

	/* A pipe is no profile: it could end never. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(save_into(f->dir_fd, used[0], fds[0], &name), -ESPIPE);
	snprintf(path, sizeof(path), "%s/%s", f->dir, used[0]);
	assert_int_equal(save_as(path, fds[0]), -ESPIPE);
	assert_int_equal(count_files(f->dir_fd), 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_as_replaces_a_file(void **state)
{
	struct fixture *f = *state;
	int other = make_source('k');
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", f->dir, used[0]);
	assert_int_equal(save_check(path), 0);
	assert_int_equal(save_as(path, f->source), 0);
	check_content(f->dir_fd, used[0], 'a');
	assert_int_equal(save_check(path), 0);
	assert_int_equal(save_as(path, other), 0);
	check_content(f->dir_fd, used[0], 'k');
	assert_int_equal(count_files(f->dir_fd), 1);
	close(other);
}

static void test_as_keeps_devices(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(save_check("/dev/null"), 0);
	assert_int_equal(save_as("/dev/null", f->source), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void test_as_refuses_directories(void **state)
{
	struct fixture *f = *state;
	char path[96];

	assert_int_equal(save_check(f->dir), -EISDIR);
	assert_int_equal(save_as(f->dir, f->source), -EISDIR);
	snprintf(path, sizeof(path), "%s/new/", f->dir);
	assert_int_equal(save_check(path), -ENOENT);
	snprintf(path, sizeof(path), "%s/none/x", f->dir);
	assert_int_equal(save_check(path), -ENOENT);
	assert_int_equal(save_as(path, f->source), -ENOENT);
	assert_int_equal(save_open_dir("/dev/null"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_into_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_taken_names_move_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_lead_elsewhere_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable_source_leaves_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_as_replaces_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_as_keeps_devices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_as_refuses_directories, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
